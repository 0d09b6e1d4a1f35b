# SPDX-License-Identifier: Apache-2.0
# Only `cdef int check(fc_status, str)` lives here; see status.pxd.
