/* What a change of an option does while the server runs: CONFIG SET and SIGHUP. Options that are
 * read where they are used need nothing here.
 */
#ifndef TARN_SERVER_OPTION_CHANGES_H
#define TARN_SERVER_OPTION_CHANGES_H

struct server;

/* Registers the functions with the server's config. They run while all workers stand still. */
void option_changes_register(struct server *server);

/* Tells the links what the options say of them. */
void replication_configure(struct server *server);

#endif
