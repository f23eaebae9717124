//! What a callback of wgpu says, for whoever waits for it: wgpu lets whichever thread polls first make the call.

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

/// An answer that may not be there yet.
pub(super) struct Answer<T: 'static>(OneshotReceiver<T>);

impl<T: Send + 'static> Answer<T> {
    /// The callback that gives it, and the answer.
    pub fn new() -> (impl FnOnce(T) + Send + 'static, Self) {
        let (sender, receiver) = oneshot_channel();
        let give = move |answer| {
            // Nobody listens where it is not wanted any more.
            let _ = sender.send(answer);
        };
        (give, Self(receiver))
    }

    /// Waits until the callback was called; none if it was dropped instead.
    pub async fn given(self) -> Option<T> {
        self.0.receive().await
    }
}
