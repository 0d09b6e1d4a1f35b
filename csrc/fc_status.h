/* SPDX-License-Identifier: Apache-2.0
 *
 * The status that every kernel returns. Zero is success; a kernel that fails leaves its outputs
 * unspecified and its structures as they were, unless its header says otherwise. */
#ifndef FC_STATUS_H
#define FC_STATUS_H

typedef enum {
    FC_OK = 0,
    FC_ERR_MEMORY = 1,      /* an allocation failed */
    FC_ERR_INVALID = 2,     /* an argument is outside the documented range */
    FC_ERR_TYPE = 3,        /* a column's kind is not one the kernel takes */
    FC_ERR_CAPACITY = 4,    /* more ids, bytes or rows than the structure can number */
    FC_ERR_UNSUPPORTED = 5, /* the operation has no meaning here, e.g. retract from a maximum */
    FC_ERR_IO = 6           /* a page could not be written to its file, or read back */
} fc_status;

#endif
