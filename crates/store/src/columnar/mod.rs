//! Lines as templates and typed columns, and back, byte for byte.
//!
//! A line is a template (its literal bytes) and the values of its slots. All values of one slot of one template lie
//! together in a column, in the form that suits them. See `docs/format/columns.md` for the bytes.
//!
//! Invariants: any bytes come back as they were; a search finds exactly the lines that hold the needle; decoding
//! hostile bytes is an error, within the memory it is allowed.

mod blob;
mod classes;
mod column;
mod column_encoder;
mod column_rules;
mod column_search;
mod dictionary_order;
mod digit_search;
mod distinct;
mod encoder;
mod fields;
mod filled;
mod frame;
mod gate;
mod group;
mod hex;
mod hex_search;
mod integer;
mod matches;
mod narrow;
mod needle;
mod nested;
mod numbers;
mod pieced_column;
mod raw_values;
mod shapes;
mod single_value;
mod slot;
mod spelling;
mod stretches;
mod strings;
mod table;
mod template_fields;
mod template_list;
mod template_tree;
mod templates;
mod tokenize;
mod ways;
mod words;

pub(crate) use column::Column;
pub(crate) use column_encoder::ColumnEncoder;
pub(crate) use encoder::Encoder;
pub(crate) use fields::{GroupFields, ask_fields};
pub(crate) use frame::decompress;
pub(crate) use gate::Gate;
pub(crate) use group::{Group, GroupBytes};
pub(crate) use integer::{decode as decode_numbers, encode as encode_numbers};
pub(crate) use matches::Matches;
pub(crate) use narrow::{Narrowed, Narrowing};
pub(crate) use stretches::Stretches;
pub(crate) use strings::{Span, Strings};

/// What columns read from a section of this length may spell out to.
pub(crate) fn column_budget(section_bytes: usize) -> strings::Budget {
    strings::Budget(section_bytes.saturating_mul(1024).saturating_add(256 << 20))
}

#[cfg(test)]
mod tests {
    use timberyard_model::required_literals::Literal;

    use super::needle::Needle;
    use super::*;

    fn encoded(lines: &Strings) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::new().expect("zstd works").encode(lines, &mut out).expect("memory");
        out
    }

    #[test]
    fn lines_come_back_byte_for_byte() {
        let mut lines = Strings::default();
        for i in 0..2000_u32 {
            lines.push(
                format!(r#"{{"n":{i},"s":"a\"b","id":"{:016x}"}}"#, u64::from(i) * 0x9E37_79B9_7F4A)
                    .as_bytes(),
            );
            lines.push(format!("10.0.0.{} took {i}ms level=info", i % 256).as_bytes());
            lines.push(&i.to_le_bytes());
            lines.push(b"");
        }
        let group = encoded(&lines);
        let group = GroupBytes::read(&group, lines.bytes.len()).expect("valid");
        let mut group = Group::open(&group).expect("valid");
        assert_eq!(group.spell(&Matches::All), Ok(lines));
    }

    /// Blocks of random lines in many styles, each searched for random pieces of its lines and for pieces changed in
    /// one byte: the answers must be those of looking at every line.
    #[test]
    fn a_search_finds_what_looking_at_every_line_finds() {
        let torture = std::env::var_os("TIMBERYARD_TORTURE").is_some();
        let (blocks, searches) = if torture { (5_760, 12) } else { (58, 12) };
        let mut found = 0;
        for seed in 0..blocks {
            let mut rng = fastrand::Rng::with_seed(seed);
            let lines = random_lines(&mut rng);
            let group = encoded(&lines);
            let group = GroupBytes::read(&group, lines.bytes.len()).expect("valid");
            let mut group = Group::open(&group).expect("valid");
            assert_eq!(group.spell(&Matches::All).as_ref(), Ok(&lines), "seed {seed}");
            spells_single_rows_as_they_were(&lines, &mut rng);
            for _ in 0..searches {
                let line = lines.get(rng.usize(..lines.len()));
                let from = rng.usize(..=line.len());
                let mut needle = line[from..rng.usize(from..=line.len().min(from + 24))].to_vec();
                if rng.u8(..4) == 0
                    && let Some(byte) = needle.first_mut()
                {
                    *byte = rng.u8(..);
                }
                let ignores_case = rng.bool() && needle.is_ascii();
                if ignores_case {
                    needle.make_ascii_lowercase();
                }
                let literal = Literal { bytes: needle.into(), ignores_case };
                let matches = group.search(&Needle::new(&literal).expect("ASCII")).expect("valid");
                let has = |line: &[u8]| {
                    let line = if ignores_case { &line.to_ascii_lowercase() } else { line };
                    memchr::memmem::find(line, &literal.bytes).is_some()
                };
                for (row, line) in lines.iter().enumerate() {
                    assert_eq!(matches.has(row), has(line), "seed {seed}: {literal:?} in {line:?}");
                    found += usize::from(has(line));
                }
                let spelled = group.spell(&matches).expect("valid");
                assert!(spelled.iter().eq(lines.iter().filter(|line| has(line))));
            }
        }
        assert!(found > 0);
    }

    /// Some rows of a group of which nothing was read before, so that their values are read where they lie.
    fn spells_single_rows_as_they_were(lines: &Strings, rng: &mut fastrand::Rng) {
        let group = encoded(lines);
        let group = GroupBytes::read(&group, lines.bytes.len()).expect("valid");
        for wanted in 1..8 {
            let mut group = Group::open(&group).expect("valid");
            let mut rows = vec![false; lines.len()];
            (0..wanted).for_each(|_| rows[rng.usize(..lines.len())] = true);
            let spelled = group.spell(&Matches::from_rows(rows.clone())).expect("valid");
            let expected = lines.iter().zip(&rows).filter(|(_, wanted)| **wanted);
            assert!(spelled.iter().eq(expected.map(|(line, _)| line)));
        }
    }

    fn random_lines(rng: &mut fastrand::Rng) -> Strings {
        let mut lines = Strings::default();
        let styles = rng.u8(1..=3);
        let first = rng.u8(..9);
        for i in 0..rng.u64(1..600) {
            let (a, b, c) = (rng.u32(..), rng.u64(..), rng.u8(..));
            let word = ["alpha", "beta", "gamma-7", "x=1", "\"q\\\"z\""][usize::from(c) % 5];
            let line = match (first + rng.u8(..styles)) % 9 {
                0 => format!(
                    "{{\"ts\":{i},\"level\":\"{word}\",\"id\":\"{b:016x}\",\"n\":{}.{:02}}}",
                    a % 90,
                    c % 100
                ),
                1 => format!("2026-11-01T00:{:02}:{:02}Z {word} took {c}ms id={b:x}", i / 60 % 60, i % 60),
                2 => format!("10.0.{c}.{} - - \"GET /{word}/{a} HTTP/1.1\" {}", a % 256, 200 + c % 4),
                3 => format!("blk_{} {word} of /var/{}/{c}", b as i64, a % 3),
                4 => word.repeat(usize::from(c % 7)),
                5 => format!("{:08x}-{:04x}-4{:03x} {i:05}", a, b as u16, c),
                6 => String::from("always the same"),
                7 => format!("{i}{word}{a}"),
                _ => format!("k{c}={a} k={b} empty= \"\" {word}={i}"),
            };
            lines.push(line.as_bytes());
            if c == 0 {
                lines.push(&b.to_le_bytes());
            }
        }
        lines
    }

    #[test]
    fn damage_is_an_error_and_nothing_worse() {
        let mut lines = Strings::default();
        (0..500).for_each(|i| lines.push(format!("request {i} of user u{} done", i * i).as_bytes()));
        let group = encoded(&lines);
        let user = Needle::new(&Literal::from(b"user".as_slice())).expect("a literal");
        for at in 0..group.len() {
            let mut damaged = group.clone();
            damaged[at] ^= 0x55;
            if let Ok(bytes) = GroupBytes::read(&damaged, lines.bytes.len())
                && let Ok(mut group) = Group::open(&bytes)
            {
                let _ = group.search(&user);
                let _ = group.spell(&Matches::All);
            }
            let cut = GroupBytes::read(&group[..at], lines.bytes.len());
            assert!(cut.is_err() || cut.is_ok_and(|bytes| Group::open(&bytes).is_err()));
        }
    }
}
