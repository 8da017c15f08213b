//! What the system's allocator is told, where that is glibc's: how many arenas it keeps, and when to give memory back.
//!
//! glibc gives threads arenas of their own, and what is free in one is of no use to the others. Bodies, batches and
//! scratch are allocated by one thread and freed by another, so each arena grows to what its thread once needed at
//! most: `docs/adr/0013-one-arena.md` has the numbers. Elsewhere nothing is done, and nothing is needed.

/// Cores that share an arena. What allocates often is served from each thread's cache and meets no lock.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const CORES_PER_ARENA: usize = 4;

/// Keeps arenas few. To be called before threads are started: an arena that a thread has it keeps.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_arenas_few() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let arenas = i32::try_from(cores.div_ceil(CORES_PER_ARENA)).unwrap_or(i32::MAX);
    #[expect(unsafe_code, reason = "mallopt takes two numbers and is safe to call at any time")]
    // It can only refuse, and then arenas are as many as they would have been.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
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
