//! Which segments of one tenant and day to merge.
//!
//! By size, in tiers of factor four: once a tier has four segments they become one of the next. So a row is
//! rewritten a few times at most, however small the pieces it came in.

/// As many segments of similar size are merged.
const FAN_IN: usize = 4;
/// The lowest tier ends at this many raw bytes.
const SMALLEST_TIER_BYTES: u64 = 1 << 20;

/// What the policy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: u64,
    /// Raw bytes of its lines.
    pub(super) line_bytes: u64,
}

/// The ids to merge into one, or nothing. Segments over half of `segment_bytes_max` are left alone.
pub(super) fn choose(candidates: &[Candidate], segment_bytes_max: u64) -> Vec<u64> {
    let mut small: Vec<Candidate> = candidates
        .iter()
        .copied()
        .filter(|candidate| candidate.line_bytes <= segment_bytes_max / 2)
        .collect();
    small.sort_by_key(|candidate| (candidate.line_bytes, candidate.id));
    let tier = |candidate: &Candidate| (candidate.line_bytes / SMALLEST_TIER_BYTES + 1).ilog(4);
    for same in small.chunk_by(|a, b| tier(a) == tier(b)) {
        if same.len() < FAN_IN {
            continue;
        }
        let mut bytes = 0;
        let fitting = same.iter().take_while(|candidate| {
            bytes += candidate.line_bytes;
            bytes <= segment_bytes_max
        });
        let ids: Vec<u64> = fitting.map(|candidate| candidate.id).collect();
        if ids.len() >= 2 {
            return ids;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(megabytes: &[u64]) -> Vec<Candidate> {
        let candidate = |(id, size): (usize, &u64)| Candidate { id: id as u64, line_bytes: size << 20 };
        megabytes.iter().enumerate().map(candidate).collect()
    }

    #[test]
    fn four_of_a_size_are_merged() {
        let cases: [(&[u64], &[u64]); 7] = [
            (&[], &[]),
            (&[0, 0, 0], &[]),
            (&[0, 0, 0, 0], &[0, 1, 2, 3]),
            (&[0, 5, 30, 100], &[]),
            (&[100, 90, 80, 70, 1], &[3, 2, 1, 0]),
            (&[300, 300, 300, 300], &[]),
            (&[200, 200, 200, 200], &[0, 1]),
        ];
        for (sizes, chosen) in cases {
            assert_eq!(choose(&candidates(sizes), 512 << 20), chosen, "{sizes:?}");
        }
    }

    #[test]
    fn rewriting_stays_logarithmic() {
        let mut segments: Vec<Candidate> = Vec::new();
        let (mut written, mut rewritten) = (0u64, 0u64);
        for id in 0..2000 {
            segments.push(Candidate { id, line_bytes: 200 << 10 });
            written += 200 << 10;
            loop {
                let chosen = choose(&segments, 512 << 20);
                if chosen.is_empty() {
                    break;
                }
                let merged = segments.extract_if(.., |segment| chosen.contains(&segment.id));
                let line_bytes = merged.map(|segment| segment.line_bytes).sum();
                rewritten += line_bytes;
                segments.push(Candidate { id: 10_000 + id, line_bytes });
            }
        }
        assert!(rewritten < written * 7, "{rewritten} of {written}");
        assert!(segments.len() < 20, "{}", segments.len());
    }
}
