//! Lines in the styles of the sixteen systems of the Loghub collection: about 1,400 statements and a long tail.
//!
//! A system repeats the order of its own code: statements come in runs, with restarts. One line of a hundred is of
//! a statement that was never seen before.

use fastrand::Rng;

use super::draw::Skewed;
use super::loghub_styles::{STYLES, Style};
use super::phrase::Phrase;
use super::{Generator, NEEDLE, Place, RARE_WORD, StreamLabels};

const HOSTS: usize = 20;

/// A place in the code of a system that writes lines.
struct Statement {
    component: String,
    level: u8,
    phrase: Phrase,
}

struct System {
    style: &'static Style,
    statements: Vec<Statement>,
    next: usize,
}

pub(super) struct Loghub {
    rng: Rng,
    systems: Vec<System>,
    share: Skewed,
    hosts: Skewed,
}

impl Loghub {
    pub(super) fn new(mut rng: Rng) -> Self {
        let systems = STYLES
            .iter()
            .map(|style| System {
                style,
                statements: (0..style.statements).map(|_| Statement::new(style, &mut rng)).collect(),
                next: 0,
            })
            .collect();
        Self {
            systems,
            share: Skewed::weighted(&STYLES.map(|style| style.weight)),
            // The first hosts carry most lines of a system.
            hosts: Skewed::new(HOSTS, 1.0),
            rng,
        }
    }
}

impl Statement {
    fn new(style: &Style, rng: &mut Rng) -> Self {
        let mut component = String::new();
        Phrase::settle("<C>", rng).say(rng, &mut component);
        let written = style.phrases[rng.usize(0..style.phrases.len())];
        Self { component, level: rng.u8(0..10), phrase: Phrase::settle(written, rng) }
    }

    fn write(&self, style: &Style, place: Place, rng: &mut Rng, text: &mut String) {
        style.head.write(place, &self.component, self.level, rng, text);
        self.phrase.say(rng, text);
    }
}

impl System {
    fn write(&mut self, place: Place, rng: &mut Rng, text: &mut String) {
        if rng.u8(0..100) == 0 {
            Statement::new(self.style, rng).write(self.style, place, rng, text);
            return;
        }
        if rng.u8(0..50) == 0 {
            self.next = rng.usize(0..self.statements.len());
        }
        self.statements[self.next].write(self.style, place, rng, text);
        self.next = (self.next + 1) % self.statements.len();
    }
}

impl Generator for Loghub {
    fn streams(&self) -> Vec<StreamLabels> {
        STYLES
            .iter()
            .flat_map(|style| {
                (0..HOSTS).map(|host| {
                    vec![
                        ("host", format!("node-{host:02}.dc{}.example", host % 3)),
                        ("job", style.job.to_owned()),
                    ]
                })
            })
            .collect()
    }

    fn write(&mut self, place: Place, text: &mut String) -> usize {
        let system = self.share.draw(&mut self.rng);
        self.systems[system].write(place, &mut self.rng, text);
        if place.has_needle() {
            text.push_str(&format!(" request {NEEDLE}"));
        }
        if place.has_rare_word() {
            text.push_str(&format!(" {RARE_WORD}"));
        }
        system * HOSTS + self.hosts.draw(&mut self.rng)
    }
}
