//! Splits a wish for many lines into requests for as many as a server gives at once.
//!
//! A server that knows cursors says itself where the next page begins. With others, a page ends somewhere within a
//! nanosecond, so the next one begins with that nanosecond again and leaves out the lines of it that were shown.

use timberyard_model::Timestamp;

use crate::cli::Direction;
use crate::failure::Failure;
use crate::show::ShownLine;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The first time inside.
    pub(super) start: Timestamp,
    /// The first time after.
    pub(super) end: Timestamp,
    /// Lines asked for.
    pub(super) limit: usize,
    /// The server's cursor; empty on the first page.
    pub(super) cursor: String,
}

/// The requests that are still to be made.
pub(super) struct Pages {
    page: Option<Page>,
    direction: Direction,
    wanted: usize,
    page_lines_max: usize,
    /// Lines shown that have the time at which the last page ended.
    at_edge: Vec<ShownLine>,
}

impl Pages {
    /// Pages of at most `page_lines_max` lines for `wanted` lines of a range.
    pub(super) fn new(
        start: Timestamp,
        end: Timestamp,
        direction: Direction,
        wanted: usize,
        page_lines_max: usize,
    ) -> Self {
        let page = Page { start, end, limit: wanted.min(page_lines_max), cursor: String::new() };
        Self { page: Some(page), direction, wanted, page_lines_max, at_edge: Vec::new() }
    }

    /// The next request, if one is needed.
    pub(super) fn next_page(&self) -> Option<Page> {
        self.page.clone()
    }

    /// No more requests.
    pub(super) fn end(&mut self) {
        self.page = None;
    }

    /// Takes the lines of the page, in any order, with where the server says that they go on; gives those to be
    /// shown, in order.
    pub(super) fn take(
        &mut self,
        mut lines: Vec<ShownLine>,
        next_cursor: Option<String>,
    ) -> Result<Vec<ShownLine>, Failure> {
        let Some(page) = self.page.take() else { return Ok(Vec::new()) };
        self.sort(&mut lines);
        if next_cursor.is_some() || !page.cursor.is_empty() {
            lines.truncate(self.wanted);
            self.wanted -= lines.len();
            let limit = self.wanted.min(self.page_lines_max);
            self.page = next_cursor.filter(|_| limit > 0).map(|cursor| Page { cursor, limit, ..page });
            return Ok(lines);
        }
        self.take_by_time(&page, lines)
    }

    fn sort(&self, lines: &mut [ShownLine]) {
        match self.direction {
            Direction::Backward => lines.sort_by_key(|line| std::cmp::Reverse(line.timestamp)),
            Direction::Forward => lines.sort_by_key(|line| line.timestamp),
        }
    }

    fn take_by_time(&mut self, page: &Page, mut lines: Vec<ShownLine>) -> Result<Vec<ShownLine>, Failure> {
        let is_full = lines.len() >= page.limit;
        let edge = lines.last().map(|line| line.timestamp);
        let mut shown_before = std::mem::take(&mut self.at_edge);
        let known = shown_before.clone();
        lines.retain(|line| match shown_before.iter().position(|shown| shown == line) {
            Some(found) => {
                shown_before.swap_remove(found);
                false
            }
            None => true,
        });
        lines.truncate(self.wanted);
        self.wanted -= lines.len();
        self.page = match edge {
            Some(edge) if is_full && self.wanted > 0 => {
                if lines.is_empty() {
                    return Err(Failure::new(format!(
                        "more than {} lines have the time {edge}; a server gives no more of them at once",
                        page.limit
                    )));
                }
                self.at_edge = known.into_iter().filter(|line| line.timestamp == edge).collect();
                self.at_edge.extend(lines.iter().filter(|line| line.timestamp == edge).cloned());
                let limit = (self.wanted + self.at_edge.len()).min(self.page_lines_max);
                let page = Page { limit, ..page.clone() };
                Some(match self.direction {
                    Direction::Backward => Page { end: edge.saturating_add_nanos(1), ..page },
                    Direction::Forward => Page { start: edge, ..page },
                })
            }
            _ => None,
        };
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    /// Reads `times` through pages from a server that holds them, and gives back what is shown.
    fn read_all(times: &[i64], direction: Direction, wanted: usize) -> Result<Vec<i64>, Failure> {
        let mut stored: Vec<ShownLine> = (0..)
            .zip(times)
            .map(|(number, nanos)| ShownLine {
                timestamp: Timestamp::from_nanos(*nanos),
                labels: Map::new(),
                text: format!("{number}"),
                bytes: None,
            })
            .collect();
        stored.sort_by_key(|line| line.timestamp);
        if direction == Direction::Backward {
            stored.reverse();
        }
        let mut pages = Pages::new(Timestamp::MIN, Timestamp::MAX, direction, wanted, 5000);
        let mut shown = Vec::new();
        while let Some(page) = pages.next_page() {
            let inside = |line: &&ShownLine| page.start <= line.timestamp && line.timestamp < page.end;
            let lines = stored.iter().filter(inside).take(page.limit).cloned().collect();
            shown.extend(pages.take(lines, None)?.iter().map(|line| line.timestamp.as_nanos()));
        }
        Ok(shown)
    }

    #[test]
    fn every_line_is_shown_once_in_order() {
        let times: Vec<i64> = (0..12_000).map(|i| i / 3).collect();
        let forward = read_all(&times, Direction::Forward, 100_000).expect("readable");
        assert_eq!(forward, times);
        let backward = read_all(&times, Direction::Backward, 11_000).expect("readable");
        let newest: Vec<i64> = times.iter().rev().take(11_000).copied().collect();
        assert_eq!(backward, newest);
        assert_eq!(read_all(&[], Direction::Forward, 10).expect("readable"), Vec::<i64>::new());
    }

    #[test]
    fn a_nanosecond_that_is_larger_than_a_page_is_an_error_and_not_a_loss() {
        assert!(read_all(&vec![7; 6000], Direction::Forward, 10_000).is_err());
        assert_eq!(read_all(&vec![7; 5000], Direction::Forward, 5000).expect("fits").len(), 5000);
    }

    #[test]
    fn a_servers_cursor_is_followed_until_there_is_enough() {
        let line = |nanos| ShownLine {
            timestamp: Timestamp::from_nanos(nanos),
            labels: Map::new(),
            text: String::new(),
            bytes: None,
        };
        let mut pages = Pages::new(Timestamp::MIN, Timestamp::MAX, Direction::Forward, 5, 2);
        for (cursor, limit, next) in [("", 2, Some("a")), ("a", 2, Some("b")), ("b", 1, Some("c"))] {
            let page = pages.next_page().expect("a page");
            assert_eq!((page.cursor.as_str(), page.limit), (cursor, limit));
            let lines = vec![line(7); limit];
            assert_eq!(pages.take(lines, next.map(str::to_owned)).expect("taken").len(), limit);
        }
        assert_eq!(pages.next_page(), None);
    }
}
