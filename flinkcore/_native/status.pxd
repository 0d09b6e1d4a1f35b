# SPDX-License-Identifier: Apache-2.0
from flinkcore._native.column cimport fc_status

# Raise what a status means, `what` naming the call and its arguments; 0 when it is FC_OK.
cdef int check(fc_status status, str what) except -1
