//! What the system's allocator is told, where that is glibc's: how many arenas it keeps, and when to give memory back.
//!
//! glibc gives threads arenas of their own, and what is free in one is of no use to the others. Bodies, batches and
//! scratch are allocated by one thread and freed by another, so each arena grows to what its thread once needed at
//! most: `docs/adr/0013-one-arena.md` has the numbers. Elsewhere nothing is done, and nothing is needed.

/// Cores that share an arena. What allocates often is served from each thread's cache and meets no lock.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const CORES_PER_ARENA: usize = 4;

/// Pieces of at least so many bytes are mapped one by one; the most that glibc allows, and what it comes to by itself after
/// it has seen large pieces.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: i32 = 32 << 20;

/// Free memory at an arena's end past which it is given back at once. Blocks are read and written in pieces of megabytes,
/// some at the same time: with less they are given back and faulted in again for every block.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE_BYTES_MAX: i32 = 64 << 20;

/// Keeps arenas few, and what was allocated once for the next block. To be called before threads are started: an arena that a
/// thread has it keeps.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_arenas_few() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let arenas = i32::try_from(cores.div_ceil(CORES_PER_ARENA)).unwrap_or(i32::MAX);
    for (parameter, value) in [
        (libc::M_ARENA_MAX, arenas),
        (libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN),
        (libc::M_TRIM_THRESHOLD, FREE_BYTES_MAX),
    ] {
        #[expect(unsafe_code, reason = "mallopt takes two numbers and is safe to call at any time")]
        // It can only refuse, and then things are as they would have been.
        let _ = unsafe { libc::mallopt(parameter, value) };
    }
}

/// Gives free memory back to the system. Takes milliseconds; what is allocated next costs page faults.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back_memory() {
    #[expect(unsafe_code, reason = "malloc_trim takes a number and is safe to call at any time")]
    // The answer only says whether there was anything to give.
    let _ = unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_arenas_few() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back_memory() {}
