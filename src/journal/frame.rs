//! One record on disk.
//!
//! ```text
//! length u32 le | crc32c u32 le | sequence u64 le | payload
//! ```
//!
//! The checksum covers length, sequence and payload, so that no flipped bit of a frame goes
//! unnoticed. A head of zeros is no frame: it is room that was allocated and not written.

use super::Sequence;

/// Bytes in front of each payload.
pub const HEAD_BYTES: usize = 16;

/// What stands in front of a payload. Only [`Head::covers`] makes it believable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the payload.
    pub length: u32,
    checksum: u32,
    /// Number of the record.
    pub sequence: Sequence,
}

impl Head {
    /// The head that belongs in front of a payload; the caller sees to it that it is under 4 GiB.
    #[must_use]
    pub fn of(sequence: Sequence, payload: &[u8]) -> Self {
        let length = u32::try_from(payload.len()).expect("the writer refuses payloads of 4 GiB");
        Self { length, checksum: checksum(length, sequence, payload), sequence }
    }

    /// Reads a head from the first 16 bytes, `None` if there are fewer.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let (sequence, _) = rest.split_first_chunk()?;
        Some(Self {
            length: u32::from_le_bytes(*length),
            checksum: u32::from_le_bytes(*checksum),
            sequence: u64::from_le_bytes(*sequence),
        })
    }

    /// Appends the head's bytes.
    pub fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.length.to_le_bytes());
        to.extend_from_slice(&self.checksum.to_le_bytes());
        to.extend_from_slice(&self.sequence.to_le_bytes());
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.length)
    }

    /// Whether this head and that payload were written together.
    #[must_use]
    pub fn covers(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == u64::from(self.length)
            && checksum(self.length, self.sequence, payload) == self.checksum
    }
}

/// Appends a whole frame.
pub fn write(to: &mut Vec<u8>, sequence: Sequence, payload: &[u8]) {
    Head::of(sequence, payload).write(to);
    to.extend_from_slice(payload);
}

fn checksum(length: u32, sequence: Sequence, payload: &[u8]) -> u32 {
    let mut covered = [0; 12];
    covered[..4].copy_from_slice(&length.to_le_bytes());
    covered[4..].copy_from_slice(&sequence.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&covered), payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(sequence in 1u64.., payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = Vec::new();
            write(&mut bytes, sequence, &payload);
            let head = Head::read(&bytes).unwrap();
            prop_assert_eq!((head.sequence, head.frame_bytes()), (sequence, bytes.len() as u64));
            prop_assert!(head.covers(&bytes[HEAD_BYTES..]));
            prop_assert_eq!(&bytes[HEAD_BYTES..], &payload);
        }

        #[test]
        fn any_flipped_bit_is_noticed(
            payload in prop::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let mut bytes = Vec::new();
            write(&mut bytes, 7, &payload);
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            prop_assert!(!Head::read(&bytes).unwrap().covers(&bytes[HEAD_BYTES..]));
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        let head = Head::read(&[0; HEAD_BYTES]).unwrap();
        assert!(!head.covers(&[]));
        assert_eq!(Head::read(&[0; HEAD_BYTES - 1]), None);
    }
}
