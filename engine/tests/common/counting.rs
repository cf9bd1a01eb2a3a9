//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use regularity_engine::Context;

struct Counting;
static EVERYWHERE: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    // Without a destructor and without lazy initialisation, so that the allocator may use it.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    EVERYWHERE.fetch_add(1, Ordering::Relaxed);
    HERE.set(HERE.get() + 1);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations until now: of the calling thread if the context keeps all work there, else of the whole process, which has
/// threads of its own: the one that waits for the test allocates whenever it gets to wait.
pub fn allocations(context: &Context) -> usize {
    if context.threads() == 1 { HERE.get() } else { EVERYWHERE.load(Ordering::Relaxed) }
}
