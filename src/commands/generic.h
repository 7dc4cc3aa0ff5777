/* Commands on keys of any type: whether they are there, what they are, and their ways to another
 * name or database. Expiry is in expire.h, the key space as a whole in keyspace_commands.h.
 *
 * A key that moves inside its slot moves by one effect. To another slot its value is carried: the
 * effects of one slot never read another one.
 */
#ifndef TARN_COMMANDS_GENERIC_H
#define TARN_COMMANDS_GENERIC_H

#include "commands/command.h"

extern const struct command generic_commands[];
extern const struct command object_commands[]; /* OBJECT: object.c */

#endif
