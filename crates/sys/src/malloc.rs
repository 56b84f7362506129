//! `malloc_trim(3)`.

/// Gives free heap pages back to the kernel, for processes that will wait for long.
pub fn trim() {
    // SAFETY: takes a number; it locks the heap like any allocation, and moves nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}
