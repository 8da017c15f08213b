//! The streams of a request, each with its entries as they will be sent.

use std::collections::HashMap;

use timberyard_model::Labels;
use timberyard_wire::loki_push_encode::{self, PushEncoder};

/// Streams by log and labels: a log's can be taken out again.
#[derive(Default)]
pub(crate) struct Streams {
    encoders: Vec<(u64, Labels, PushEncoder)>,
    places: HashMap<(u64, Labels), usize>,
    /// The one that was used last, which is most often used next.
    last: usize,
}

impl Streams {
    /// Where entries of a stream are put.
    pub(crate) fn encoder(&mut self, log: u64, labels: &Labels) -> &mut PushEncoder {
        let is_it = |(other, known, _): &(u64, Labels, PushEncoder)| *other == log && known == labels;
        if !self.encoders.get(self.last).is_some_and(is_it) {
            let encoders = &mut self.encoders;
            self.last = *self.places.entry((log, labels.clone())).or_insert_with(|| {
                encoders.push((log, labels.clone(), PushEncoder::new(labels)));
                encoders.len() - 1
            });
        }
        &mut self.encoders[self.last].2
    }

    /// Takes out everything of a log.
    pub(crate) fn remove(&mut self, log: u64) {
        self.encoders.retain(|(other, _, _)| *other != log);
        let numbered = self.encoders.iter().enumerate();
        self.places = numbered.map(|(place, (log, labels, _))| ((*log, labels.clone()), place)).collect();
        self.last = 0;
    }

    /// Bytes before compression.
    pub(crate) fn bytes(&self) -> usize {
        self.encoders.iter().map(|(_, _, encoder)| encoder.bytes()).sum()
    }

    /// The body of a push; `None` when it is over 4 GiB.
    pub(crate) fn into_body(self) -> Option<Vec<u8>> {
        let encoders: Vec<PushEncoder> = self.encoders.into_iter().map(|(_, _, encoder)| encoder).collect();
        loki_push_encode::body(&encoders)
    }
}
