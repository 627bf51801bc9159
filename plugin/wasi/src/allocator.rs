//! The heap: an arena in the first page of memory, then further pages.

use core::alloc::Layout;
use core::arch::wasm32::memory_grow;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// What the first page has left beside stack, constants and the buffer for the host, in bytes.
///
/// Every request in flight holds a guest, and so a page or more. An arena, and not what is behind
/// the linker's `__heap_base`: the C library's allocator begins there, should anything link it.
const ARENA_BYTES: usize = 24 * 1024;

/// The size of a page of memory, in bytes.
const PAGE_BYTES: usize = 64 * 1024;

/// What an allocation takes beside its own bytes and its alignment, in bytes, and more.
const OVERHEAD_BYTES: usize = 128;

static mut ARENA: [MaybeUninit<u8>; ARENA_BYTES] = [MaybeUninit::uninit(); ARENA_BYTES];

#[global_allocator]
static ALLOCATOR: TalcSyncCell<Memory, WasmBinning> = TalcSyncCell::new_wasm(Memory {
    arena_taken: false,
    end: None,
});

/// Where the allocator has memory from.
#[derive(Debug)]
struct Memory {
    arena_taken: bool,
    /// The end of the last pages that the allocator got.
    end: Option<NonNull<u8>>,
}

// SAFETY: `acquire` allocates nothing, and uses the allocator by its argument only.
unsafe impl Source for Memory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if !talc.source.arena_taken {
            talc.source.arena_taken = true;
            let arena = (&raw mut ARENA).cast();
            // SAFETY: nothing else names the arena, and it is handed out once.
            let claimed = unsafe { talc.claim(arena, ARENA_BYTES) };
            return claimed.map(|_| ()).ok_or(());
        }
        let needed = layout.size() + layout.align() + OVERHEAD_BYTES;
        let pages = needed.div_ceil(PAGE_BYTES);
        let before = memory_grow::<0>(pages);
        if before == usize::MAX {
            return Err(());
        }
        let base = (before * PAGE_BYTES) as *mut u8;
        let bytes = pages * PAGE_BYTES;
        let end = base.wrapping_add(bytes);
        talc.source.end = match talc.source.end {
            // SAFETY: the new pages follow those that the allocator has, and nothing else uses them.
            Some(last) if last.as_ptr() == base => Some(unsafe { talc.extend(last, end) }),
            // SAFETY: the host has just made these pages for this call.
            _ => unsafe { talc.claim(base, bytes) },
        };
        talc.source.end.map(|_| ()).ok_or(())
    }
}
