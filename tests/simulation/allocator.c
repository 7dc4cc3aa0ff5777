/* What jemalloc is told in simulations, each of which makes and frees whole stores: pages are kept,
 * and large ones taken, since to give them back and clear them is most of the time otherwise. */
extern const char *malloc_conf; /* read by jemalloc, before main() */
const char *malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always";
