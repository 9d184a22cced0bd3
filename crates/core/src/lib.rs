//! The engine as a Wasm module without imports: bytes in, bytes out.
//!
//! The shell writes a message into the buffer that [`input`] names and calls [`call`]; the answer
//! lies where `call` says until the next call. One byte says what is asked (the constants of [`ask`]);
//! the rest is read by [`wire::Reader`]. Whatever is in flight comes and
//! goes as opaque bytes, so the module can be replaced by a fresh one between any two calls: after a
//! trap the shell does just that, and reads the reason from [`panic_message`].
//!
//! `unsafe` is confined to this file: the exports of a Wasm module and the buffers behind them
//! cannot be had without it. A Wasm instance has one thread, and no export calls another, so each
//! buffer has one user at a time.

mod dispatch;
pub mod wire;

pub use dispatch::{Core, WIRE, ask, dispatch, tell};

#[cfg(target_arch = "wasm32")]
mod exports {
    #![expect(
        unsafe_code,
        reason = "exports and their buffers; see the crate's documentation"
    )]

    use std::cell::UnsafeCell;

    use crate::Core;
    use crate::wire::{KEPT, Writer};

    /// A value that only one export uses at a time.
    struct Single<T>(UnsafeCell<T>);

    // SAFETY: a Wasm instance without shared memory has one thread.
    unsafe impl<T> Sync for Single<T> {}

    /// How much of a panic's message is kept, in bytes.
    const MESSAGE: usize = 1024;

    static INPUT: Single<Vec<u8>> = Single(UnsafeCell::new(Vec::new()));
    static OUTPUT: Single<Writer> = Single(UnsafeCell::new(Writer::new()));
    static CORE: Single<Core> = Single(UnsafeCell::new(Core::Fresh));
    static PANIC: Single<[u8; MESSAGE]> = Single(UnsafeCell::new([0; MESSAGE]));

    /// The policies, as checked and compiled by the build script.
    static BUNDLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/policy.bin"));

    /// Makes room for a message of `length` bytes and says where it goes.
    #[unsafe(no_mangle)]
    extern "C" fn input(length: usize) -> *mut u8 {
        // SAFETY: see `Single`.
        let buffer = unsafe { &mut *INPUT.0.get() };
        // What one long body needed is not kept for ever. What is kept is as it was left: a message says how long it
        // is, and to clear 19 KB anew takes longer than to copy them.
        if buffer.len() > KEPT.max(length) {
            buffer.truncate(KEPT.max(length));
            buffer.shrink_to(KEPT);
        }
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        buffer.as_mut_ptr()
    }

    /// Takes the message that was written and answers with one.
    #[unsafe(no_mangle)]
    extern "C" fn call() -> *const u8 {
        // SAFETY: see `Single`.
        let (message, output, core) = unsafe { (&*INPUT.0.get(), &mut *OUTPUT.0.get(), &mut *CORE.0.get()) };
        crate::dispatch::dispatch(core, BUNDLE, message, output);
        output.seal().as_ptr()
    }

    /// Where the message of a panic lies, ended by a zero byte.
    #[unsafe(no_mangle)]
    extern "C" fn panic_message() -> *const u8 {
        PANIC.0.get().cast()
    }

    /// Makes a panic leave its message behind, and lists of the policies be used as they lie. Called once, before
    /// anything else.
    #[unsafe(no_mangle)]
    extern "C" fn prepare() {
        turnpike_policy::carry(BUNDLE);
        std::panic::set_hook(Box::new(|info| {
            let text = info.to_string();
            // SAFETY: see `Single`.
            let kept = unsafe { &mut *PANIC.0.get() };
            let room = kept.len().saturating_sub(1);
            for (to, from) in kept.iter_mut().zip(text.bytes().take(room)) {
                *to = from;
            }
        }));
    }
}
