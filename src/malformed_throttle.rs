//! Keeps a flood of junk on the channel from becoming a flood of reports.

use std::time::{Duration, Instant};

use crate::queue::Report;

/// At most one report of malformed payloads in this time; the rest are counted.
pub(crate) const MALFORMED_INTERVAL: Duration = Duration::from_secs(1);
/// So much of a malformed payload is shown, in characters.
const MALFORMED_SHOWN: usize = 200;

/// Payloads that are no invalidation, and what was said of them.
#[derive(Default)]
pub(crate) struct MalformedThrottle {
    reported: Option<Instant>,
    /// Seen since the last report.
    count: u64,
    sample: String,
}

impl MalformedThrottle {
    /// Counts a payload; gives a report, unless the last one is too recent.
    pub fn note(&mut self, payload: &str, now: Instant) -> Option<Report> {
        if self.count == 0 {
            self.sample = shown(payload);
        }
        self.count += 1;
        self.due(now)
    }

    /// A report of what is not reported yet, unless the last one is too recent.
    pub fn due(&mut self, now: Instant) -> Option<Report> {
        if self.reported.is_some_and(|reported| now - reported < MALFORMED_INTERVAL) {
            return None;
        }
        let report = self.flush()?;
        self.reported = Some(now);
        Some(report)
    }

    /// How long what is not reported yet has to wait, if there is any.
    pub fn held_for(&self, now: Instant) -> Option<Duration> {
        let reported = self.reported.filter(|_| self.count > 0)?;
        Some(MALFORMED_INTERVAL.saturating_sub(now - reported))
    }

    /// A report of what is not reported yet.
    pub fn flush(&mut self) -> Option<Report> {
        if self.count == 0 {
            return None;
        }
        let count = std::mem::take(&mut self.count);
        Some(Report::Malformed { payload: std::mem::take(&mut self.sample), count })
    }
}

fn shown(payload: &str) -> String {
    match payload.char_indices().nth(MALFORMED_SHOWN) {
        Some((end, _)) => format!("{}…", &payload[..end]),
        None => payload.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_is_reported_once_a_second_and_counted() {
        let mut malformed = MalformedThrottle::default();
        let start = Instant::now();
        let report = |payload: &str, count| Some(Report::Malformed { payload: payload.into(), count });
        assert_eq!(malformed.note("a", start), report("a", 1));
        assert_eq!(malformed.held_for(start), None);
        assert_eq!(malformed.note("b", start), None);
        assert_eq!(malformed.held_for(start), Some(MALFORMED_INTERVAL));
        assert_eq!(malformed.held_for(start + MALFORMED_INTERVAL / 4), Some(MALFORMED_INTERVAL * 3 / 4));
        assert_eq!(malformed.held_for(start + 2 * MALFORMED_INTERVAL), Some(Duration::ZERO));
        assert_eq!(malformed.note("c", start + MALFORMED_INTERVAL / 2), None);
        assert_eq!(malformed.note("d", start + MALFORMED_INTERVAL), report("b", 3));
        assert_eq!(malformed.note("e", start + MALFORMED_INTERVAL), None);
        assert_eq!(malformed.due(start + MALFORMED_INTERVAL), None);
        assert_eq!(malformed.due(start + 2 * MALFORMED_INTERVAL), report("e", 1));
        assert_eq!(malformed.due(start + 3 * MALFORMED_INTERVAL), None);
        assert_eq!(malformed.note("f", start + 3 * MALFORMED_INTERVAL), report("f", 1));
        assert_eq!(malformed.note("g", start + 3 * MALFORMED_INTERVAL), None);
        assert_eq!(malformed.flush(), report("g", 1));
        assert_eq!(malformed.flush(), None);
    }

    #[test]
    fn a_long_payload_is_cut_between_characters() {
        let long = "é".repeat(MALFORMED_SHOWN + 1);
        assert_eq!(shown(&long), format!("{}…", "é".repeat(MALFORMED_SHOWN)));
        let fits = "é".repeat(MALFORMED_SHOWN);
        assert_eq!(shown(&fits), fits);
    }
}
