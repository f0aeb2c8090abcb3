/*
 * dump.h - writes a ledger, as a source gives it, into a folder of files (dump_manifest.h, dump_file.h, dump_format.h).
 *
 * A dump that was cut short has no MANIFEST and is refused by whoever reads it; remove the folder and begin again.
 * Memory: bounded, whatever the ledger's size.
 */
#ifndef PAY_TOOLS_DUMP_H
#define PAY_TOOLS_DUMP_H

#include "tools/dump_manifest.h"

/* `folder` must not exist, or be empty. *ret_manifest is to be freed in any case. */
enum pay_exit dump_write(struct audit *audit, const char *folder, struct dump_manifest *ret_manifest);

#endif
