# SPDX-License-Identifier: Apache-2.0
"""What a kernel's status means in Python."""

from flinkcore._native.column cimport (
    FC_ERR_CAPACITY, FC_ERR_INVALID, FC_ERR_MEMORY, FC_ERR_TYPE, FC_ERR_UNSUPPORTED, FC_OK, fc_status,
)


cdef int check(fc_status status, str what) except -1:
    """Raise the exception of a status other than FC_OK.

    what : the call that failed and what the user could change, e.g. "key_groups: max_parallelism is 0"
    MemoryError, ValueError (invalid), TypeError (kind), OverflowError (capacity), UnsupportedOperationError
    """
    if status == FC_OK:
        return 0
    if status == FC_ERR_MEMORY:
        raise MemoryError(f"{what}: the system gave no more memory")
    if status == FC_ERR_INVALID:
        raise ValueError(f"{what}: an argument is outside its range")
    if status == FC_ERR_TYPE:
        raise TypeError(f"{what}: no kernel takes a column of this kind")
    if status == FC_ERR_CAPACITY:
        raise OverflowError(f"{what}: more ids, rows or bytes than the structure can number")
    if status == FC_ERR_UNSUPPORTED:
        from flinkcore.errors import UnsupportedOperationError
        raise UnsupportedOperationError(f"{what}: the operation has no meaning here")
    raise SystemError(f"{what}: unknown kernel status {<int>status}")
