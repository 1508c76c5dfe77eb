//! Reads a body to its end, within a size, a time and the bytes that are free in memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;

use super::{
    admit::{Budget, Reservation},
    reject::Rejection,
};

/// What one body may take.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Largest body.
    pub bytes_max: u64,
    /// What even the smallest counts as.
    pub counted_min: u64,
    /// Time for all of it.
    pub within: Duration,
    /// Memory that all requests share.
    pub budget: Budget,
}

/// A body that was read, and the memory it holds until it is dropped.
#[derive(Debug)]
pub(super) struct Read {
    /// The bytes, in one piece.
    pub bytes: Bytes,
    /// Goes back with this.
    _held: Reservation,
}

/// Reads a body. A length that is announced is judged before the first byte is asked for, so that a
/// client that expects `100 Continue` is refused without it.
///
/// # Errors
/// Too large, too slow, no memory, or given up by the client.
pub(super) async fn read<B>(body: B, limits: &Limits) -> Result<Read, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    // The exact size is what `Content-Length` says; a chunked body has none.
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > limits.bytes_max) {
        return Err(too_large(limits));
    }
    let counted = announced.unwrap_or(0).max(limits.counted_min);
    let held = limits.budget.reserve(counted).map_err(|_| Rejection::Busy)?;
    match tokio::time::timeout(limits.within, collect(body, announced, held, limits)).await {
        Ok(result) => result,
        Err(_) => Err(Rejection::Slow),
    }
}

/// A body that arrived in one piece is not copied; one of several pieces is copied once.
async fn collect<B>(
    mut body: B,
    announced: Option<u64>,
    mut held: Reservation,
    limits: &Limits,
) -> Result<Read, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut length = 0u64;
    while let Some(frame) = body.frame().await {
        // Whatever went wrong, it is the connection or the framing: there is nobody left to answer.
        let frame = frame.map_err(|_| Rejection::Aborted)?;
        // Trailers are nothing to us.
        let Ok(chunk) = frame.into_data() else { continue };
        length += chunk.len() as u64;
        if length > limits.bytes_max {
            return Err(too_large(limits));
        }
        held.grow_to(length).map_err(|_| Rejection::Busy)?;
        if first.is_empty() {
            first = chunk;
            continue;
        }
        if whole.is_empty() {
            // Not more than what is held: a budget is kept even when an announcement lies.
            let capacity = announced.unwrap_or(length * 2).min(limits.bytes_max);
            whole.reserve(usize::try_from(capacity).unwrap_or_default());
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&chunk);
    }
    let bytes = if whole.is_empty() { first } else { whole.freeze() };
    Ok(Read { bytes, _held: held })
}

fn too_large(limits: &Limits) -> Rejection {
    Rejection::TooLarge { bytes_max: limits.bytes_max }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use hyper::body::Frame;
    use proptest::prelude::*;
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    fn limits(bytes_max: u64, budget: u64) -> Limits {
        Limits { bytes_max, counted_min: 0, within: Duration::from_secs(5), budget: Budget::new(budget) }
    }

    /// A body without a length, in these pieces.
    struct Pieces(std::collections::VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    fn pieces(sizes: &[usize]) -> Pieces {
        Pieces((0u8..).zip(sizes).map(|(byte, size)| Bytes::from(vec![byte; *size])).collect())
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied() {
        let body = Bytes::from_static(b"{\"a\":1}");
        let read = read(Full::new(body.clone()), &limits(100, 100)).await.unwrap();
        assert_eq!(read.bytes.as_ptr(), body.as_ptr());
    }

    #[tokio::test]
    async fn the_limit_itself_passes_by_length_and_by_count() {
        assert!(read(Full::new(Bytes::from(vec![0; 10])), &limits(10, 10)).await.is_ok());
        assert!(read(pieces(&[4, 6]), &limits(10, 10)).await.is_ok());
        let by_length = read(Full::new(Bytes::from(vec![0; 11])), &limits(10, 100)).await;
        assert!(matches!(by_length, Err(Rejection::TooLarge { bytes_max: 10 })));
        let by_count = read(pieces(&[4, 7]), &limits(10, 100)).await;
        assert!(matches!(by_count, Err(Rejection::TooLarge { bytes_max: 10 })));
    }

    #[tokio::test]
    async fn memory_is_held_while_the_body_is_and_no_longer() {
        let limits = limits(10, 10);
        let first = read(Full::new(Bytes::from(vec![0; 6])), &limits).await.unwrap();
        assert!(matches!(read(Full::new(Bytes::from(vec![0; 5])), &limits).await, Err(Rejection::Busy)));
        assert!(matches!(read(pieces(&[2, 3]), &limits).await, Err(Rejection::Busy)));
        drop(first);
        assert!(read(pieces(&[5, 5]), &limits).await.is_ok());
        assert!(read(pieces(&[5, 5]), &limits).await.is_ok(), "everything went back");
    }

    #[tokio::test]
    async fn small_bodies_are_bounded_in_number() {
        let limits = Limits { counted_min: 5, ..limits(10, 10) };
        let _two = (read(pieces(&[]), &limits).await.unwrap(), read(pieces(&[1]), &limits).await.unwrap());
        assert!(matches!(read(pieces(&[1]), &limits).await, Err(Rejection::Busy)));
    }

    /// A body of which the next piece never comes.
    struct Never;

    impl Body for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_too_slow() {
        let limits = Limits { within: Duration::from_millis(5), ..limits(10, 10) };
        assert!(matches!(read(Never, &limits).await, Err(Rejection::Slow)));
        assert!(limits.budget.reserve(10).is_ok(), "everything went back");
    }

    proptest! {
        #[test]
        fn pieces_come_back_as_one(sizes in prop::collection::vec(0usize..20, 0..8)) {
            let whole: Vec<u8> = pieces(&sizes).0.iter().flatten().copied().collect();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let read = runtime.block_on(read(pieces(&sizes), &limits(1000, 1000))).unwrap();
            prop_assert_eq!(&read.bytes[..], &whole[..]);
        }
    }
}
