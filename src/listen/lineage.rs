//! Which primary is the latest: a promotion begins a new timeline, with a higher number than all before it.

/// Where in the history of a cluster a server is. The first is the same for a primary and its standbys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    system: String,
    timeline: u32,
}

impl Position {
    /// From the answer to [`sql::POSITION`](super::sql::POSITION); `None` if it makes no sense.
    pub fn parse(system: Option<&str>, wal_file: Option<&str>) -> Option<Self> {
        let timeline = u32::from_str_radix(wal_file?.get(..8)?, 16).ok()?;
        Some(Self { system: system?.to_owned(), timeline })
    }
}

/// The latest position seen.
#[derive(Debug, Default)]
pub(super) struct Lineage(Option<Position>);

impl Lineage {
    /// Takes note of a server's position.
    ///
    /// # Errors
    /// The server's timeline and the latest, if another server of its cluster has taken its place.
    pub fn follow(&mut self, position: Position) -> Result<(), (u32, u32)> {
        match &self.0 {
            Some(latest) if latest.system == position.system && position.timeline < latest.timeline => {
                Err((position.timeline, latest.timeline))
            }
            _ => {
                self.0 = Some(position);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(system: &str, timeline: u32) -> Position {
        Position::parse(Some(system), Some(&format!("{timeline:08X}000000010000002A")))
            .expect("it makes sense")
    }

    #[test]
    fn a_cluster_never_goes_back() {
        let mut lineage = Lineage::default();
        assert_eq!(lineage.follow(at("7", 1)), Ok(()));
        assert_eq!(lineage.follow(at("7", 0x1f)), Ok(()));
        assert_eq!(lineage.follow(at("7", 0x1e)), Err((0x1e, 0x1f)));
        assert_eq!(lineage.follow(at("7", 0x1f)), Ok(()));
    }

    #[test]
    fn another_cluster_has_a_history_of_its_own() {
        let mut lineage = Lineage::default();
        assert_eq!(lineage.follow(at("7", 5)), Ok(()));
        assert_eq!(lineage.follow(at("8", 1)), Ok(()));
    }

    #[test]
    fn an_answer_that_makes_no_sense_says_nothing() {
        for (system, file) in [
            (None, Some("000000010000")),
            (Some("7"), None),
            (Some("7"), Some("1")),
            (Some("7"), Some("timeline")),
        ] {
            assert_eq!(Position::parse(system, file), None);
        }
    }
}
