//! A gate never says that a text is not there which is: compared with a look at every line, for texts of every kind.

use fastrand::Rng;

use super::super::{Encoder, Strings};
use super::Gate;

/// Lines that gates of a full size may be made for.
const LINE_BYTES: usize = 64 << 20;

fn gate_of(encoder: &mut Encoder, lines: &Strings) -> Vec<u8> {
    encoder.encode(lines, &mut Vec::new()).expect("memory");
    let mut gate = Vec::new();
    encoder.write_gate(LINE_BYTES, &mut gate);
    gate
}

fn holds(lines: &Strings, text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    lines.iter().any(|line| memchr::memmem::find(&line.to_ascii_lowercase(), &text).is_some())
}

fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| char::from(b"0123456789abcdef"[rng.usize(..16)])).collect()
}

fn uuid(rng: &mut Rng) -> String {
    [8, 4, 4, 4, 12].map(|digits| hex(rng, digits)).join("-")
}

fn word(rng: &mut Rng) -> String {
    (0..rng.usize(0..9)).map(|_| rng.lowercase()).collect()
}

/// An identifier with what may stand beside it.
fn identifier(rng: &mut Rng, style: u8) -> String {
    let digits = [32, 32, 16, 20, 31, 33, 40, 64, 8, 12, 130][rng.usize(..if style < 4 { 4 } else { 11 })];
    let id = match rng.u8(..12) {
        0 => uuid(rng),
        1 => uuid(rng).to_uppercase(),
        2 => hex(rng, digits).to_uppercase(),
        3 => rng.u64(..).to_string(),
        4 => format!("{}{}", rng.u64(..), rng.u64(..)),
        _ => hex(rng, digits),
    };
    match style {
        0..4 => id,
        4 => format!("req-{id}"),
        5 => format!("0x{id}"),
        6 => format!("{id}{}", word(rng)),
        7 => format!("cafe{id}"),
        8 => format!("{}-{id}", hex(rng, 8)),
        9 => format!("{id}-{id}"),
        10 => format!("{}{id}", rng.u8(..)),
        _ => format!("{}:{id}/{}", word(rng), rng.u8(..)),
    }
}

/// Lines of a few styles, in which ids stand in slots of their own, among words, beside each other, and nowhere.
fn random_lines(rng: &mut Rng) -> (Strings, Vec<String>) {
    let mut lines = Strings::default();
    let mut ids = Vec::new();
    let styles: Vec<(u8, u8)> = (0..rng.usize(1..4)).map(|_| (rng.u8(..11), rng.u8(..12))).collect();
    let words: Vec<String> = (0..rng.usize(1..40)).map(|_| word(rng)).collect();
    for number in 0..rng.usize(1..500) {
        let (style, kind) = styles[rng.usize(..styles.len())];
        if rng.u8(..4) > 0 || ids.is_empty() {
            ids.push(identifier(rng, kind));
        }
        let (id, before) = (ids.last().map_or("", String::as_str), &ids[rng.usize(..ids.len())]);
        let (word, n) =
            (&words[rng.usize(..words.len())], rng.u32(..).checked_shr(rng.u32(..32)).unwrap_or(0));
        let line = match style {
            0 => format!("{{\"trace\":\"{id}\",\"n\":{n},\"word\":\"{word}\"}}"),
            1 => format!("trace={id} {word} took {n}ms parent={before}"),
            2 => format!("msg=\"{word} {id} {word} {n}\" n={n}"),
            3 => format!("{word}{n}{id}"),
            4 => id.to_owned(),
            5 => format!("{id}{before}"),
            6 => format!("{{\"message\":\"{word} {id} of {n}-{before}, {}\",\"e\":\"\",\"f\":{n}}}", n % 7),
            7 => format!("\"{id}\"\"{word}\"\"{n}\""),
            8 => format!("{word}={word}={n}={}", n % 3),
            9 => format!("{word} {}", words[(number * 7) % words.len()]),
            _ => format!("{n}-{}-{id}\n\tat {word}({word}.java:{n})", n % 100),
        };
        lines.push(line.as_bytes());
        if rng.u8(..60) == 0 {
            lines.push(&rng.u64(..).to_le_bytes());
            lines.push(b"");
        }
    }
    (lines, ids)
}

/// A text to look for: a piece of a line, or an identifier with or without its neighbours, or one that is changed.
fn random_text(rng: &mut Rng, lines: &Strings, ids: &[String]) -> Vec<u8> {
    let line = lines.get(rng.usize(..lines.len()));
    let id = ids[rng.usize(..ids.len())].as_bytes();
    let piece = |text: &[u8], len_max: usize, rng: &mut Rng| {
        let from = rng.usize(..=text.len());
        text[from..rng.usize(from..=text.len().min(from + len_max))].to_vec()
    };
    let mut text = match rng.u8(..8) {
        0 => id.to_vec(),
        1 => id[..rng.usize(..=id.len())].to_vec(),
        2 => id[rng.usize(..=id.len())..].to_vec(),
        3 => piece(id, 200, rng),
        4 => match memchr::memmem::find(line, id) {
            // With what stands beside it.
            Some(at) => {
                let to = (at + id.len() + rng.usize(..9)).min(line.len());
                line[at.saturating_sub(rng.usize(..9))..to].to_vec()
            }
            None => line.to_vec(),
        },
        5 => piece(line, 6, rng),
        _ => piece(line, 90, rng),
    };
    match rng.u8(..8) {
        0 => text.make_ascii_uppercase(),
        1 if !text.is_empty() => {
            let at = rng.usize(..text.len());
            text[at] = rng.alphanumeric() as u8;
        }
        _ => {}
    }
    text
}

#[test]
fn a_gate_never_bars_a_text_that_a_line_has() {
    let torture = std::env::var_os("TIMBERYARD_TORTURE").is_some();
    let blocks = if torture { 40_000 } else { 400 };
    let mut encoder = Encoder::new().expect("zstd works");
    let (mut barred, mut absent) = (0, 0);
    for seed in 0..blocks {
        let mut rng = Rng::with_seed(seed);
        let (lines, ids) = random_lines(&mut rng);
        let bytes = gate_of(&mut encoder, &lines);
        let gate = Gate::read(&bytes).expect("a gate");
        for _ in 0..60 {
            let text = random_text(&mut rng, &lines, &ids);
            if holds(&lines, &text) {
                assert!(gate.may_hold(&text), "seed {seed}: {:?}", String::from_utf8_lossy(&text));
            } else {
                absent += 1;
                barred += usize::from(!gate.may_hold(&text));
            }
        }
    }
    // The texts that are not there differ from what is in one letter.
    assert!(barred * 2 > absent, "{barred} of {absent}");
}

/// Lines in two columns: the borders at which a text could be missed.
#[test]
fn texts_across_borders_of_values_are_not_barred() {
    let mut rng = Rng::with_seed(3);
    let mut encoder = Encoder::new().expect("zstd works");
    let ids: Vec<String> = (0..300).map(|_| hex(&mut rng, 32)).collect();
    let uuids: Vec<String> = (0..300).map(|_| uuid(&mut rng)).collect();
    let cases: [&dyn Fn(usize) -> String; 12] = [
        &|i| format!("id={}", ids[i]),
        &|i| format!("id={}{i}", ids[i]),
        &|i| format!("id=abc{}", ids[i]),
        &|i| format!("id={i} {}", ids[i]),
        &|i| format!("id={}.{}", ids[i], ids[i].to_uppercase()),
        &|i| format!("{{\"id\":\"{}\",\"e\":\"\",\"i\":{i}}}", ids[i]),
        &|i| format!("k={} u={i}", uuids[i]),
        &|i| format!("message {} of order-{}", uuids[i], uuids[i]),
        &|i| format!("\"message {} {}\"", &uuids[i], &uuids[i][9..]),
        &|i| format!("\"{i} x {}\" \"{}\"", &ids[i][..20], &ids[i][..16]),
        &|i| format!("\"{}\"\"\"\"{}\"", &ids[i][..1], &ids[i][..2]),
        &|i| ids[i][..i % 33].to_owned(),
    ];
    for (number, case) in cases.iter().enumerate() {
        let mut lines = Strings::default();
        (0..300).for_each(|i| lines.push(case(i).as_bytes()));
        let bytes = gate_of(&mut encoder, &lines);
        let gate = Gate::read(&bytes).expect("a gate");
        for line in lines.iter() {
            for from in 0..line.len() {
                for to in [from + 1, from + 3, from + 16, from + 32, from + 36, from + 40, line.len()] {
                    let text = &line[from..to.clamp(from, line.len())];
                    assert!(gate.may_hold(text), "case {number}: {}", String::from_utf8_lossy(text));
                }
            }
        }
        assert!(!gate.may_hold(b"zzyvanowhere"));
    }
}

#[test]
fn ids_that_are_nowhere_are_barred() {
    let mut rng = Rng::with_seed(4);
    let mut encoder = Encoder::new().expect("zstd works");
    let mut lines = Strings::default();
    for i in 0..2000 {
        let (trace, message) = (hex(&mut rng, 32), uuid(&mut rng));
        lines.push(
            format!("{{\"trace\":\"{trace}\",\"msg\":\"message {message} taken by worker {i}\"}}").as_bytes(),
        );
        lines.push(
            format!("level=info trace={trace} id=req-{} msg=\"user u-{i} left\"", hex(&mut rng, 32))
                .as_bytes(),
        );
    }
    let bytes = gate_of(&mut encoder, &lines);
    let gate = Gate::read(&bytes).expect("a gate");
    let held = |text: &dyn Fn(&mut Rng) -> String, rng: &mut Rng| {
        (0..1000).filter(|_| gate.may_hold(text(rng).as_bytes())).count()
    };
    for text in [
        &(|rng: &mut Rng| hex(rng, 32)) as &dyn Fn(&mut Rng) -> String,
        &|rng: &mut Rng| format!("trace={}", hex(rng, 32).to_uppercase()),
        &uuid,
        &|rng: &mut Rng| format!("message {} taken", uuid(rng)),
    ] {
        let held = held(text, &mut rng);
        assert!(held < 60, "{held} of 1000");
    }
    assert_eq!(held(&|rng| hex(rng, 33), &mut rng), 0);
}

#[test]
fn lines_that_are_too_few_or_too_varied_have_a_gate_that_costs_next_to_nothing() {
    let mut encoder = Encoder::new().expect("zstd works");
    let mut lines = Strings::default();
    lines.push(b"one line");
    encoder.encode(&lines, &mut Vec::new()).expect("memory");
    let mut gate = Vec::new();
    encoder.write_gate(8, &mut gate);
    assert!(gate.is_empty());
    let mut rng = Rng::with_seed(5);
    let mut lines = Strings::default();
    (0..20_000).for_each(|_| lines.push(&std::array::from_fn::<u8, 60, _>(|_| rng.u8(..))));
    let gate = gate_of(&mut encoder, &lines);
    assert!(gate.len() < 64, "{}", gate.len());
}

#[test]
fn any_bytes_are_a_gate_or_an_error() {
    let mut rng = Rng::with_seed(6);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..rng.usize(..40)).map(|_| rng.u8(..9)).collect();
        if let Ok(gate) = Gate::read(&bytes) {
            let _ = gate.may_hold(b"9be1c6d2f04a4e7f8d35a7c0e21b64f3 c0ffee99c0ff anywhere");
        }
    }
}
