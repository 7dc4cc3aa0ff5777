"""Compares Tarn with the real redis-server, byte for byte."""
