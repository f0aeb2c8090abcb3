/* codec_error.h - why bytes are no request: what the worker stores (reason, field) and what the intake tells its client. */
#ifndef PAY_CODEC_CODEC_ERROR_H
#define PAY_CODEC_CODEC_ERROR_H

#include "core/outcome.h"

struct pay_codec_error {
    enum pay_reason reason; /* too_large, malformed_json, bad_field */
    enum pay_field field;
    char pointer[96]; /* JSON pointer of the member at fault, "" for the whole document */
    char detail[200]; /* the rule, and the fix */
};

#endif
