//! What the demo shows while it runs: on a terminal a table that stays in place, else a line now and then.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    time::Duration,
};

use super::figures::{Count, Figures};
use crate::app::{Failure, output};

/// How often it is drawn.
pub const REFRESH: Duration = Duration::from_secs(1);
/// Without a terminal, every so many draws are worth a line.
const DRAWS_PER_LINE: u64 = 2;

/// Standard output.
pub struct Screen {
    is_terminal: bool,
    draws: u64,
    lines_drawn: usize,
}

impl Screen {
    /// Nothing is drawn yet.
    pub fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), draws: 0, lines_drawn: 0 }
    }

    /// Shows how things stand.
    pub fn draw(&mut self, elapsed: Duration, figures: &Figures) -> Result<(), Failure> {
        self.draws += 1;
        if !self.is_terminal {
            if self.draws % DRAWS_PER_LINE == 1 {
                return output::print(line(elapsed, figures).as_bytes());
            }
            return Ok(());
        }
        let table = table(elapsed, figures);
        // Up over what was drawn before, then clear to the end of the screen.
        let up = match self.lines_drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        };
        self.lines_drawn = table.lines().count();
        output::print(format!("{up}{table}").as_bytes())
    }

    /// Shows how things stood at the end: in the place of the last table, or below the lines.
    pub fn last(&mut self, elapsed: Duration, figures: &Figures) -> Result<(), Failure> {
        if self.is_terminal {
            return self.draw(elapsed, figures);
        }
        output::print(format!("\n{}", table(elapsed, figures)).as_bytes())
    }
}

/// Everything in one line, for a log.
fn line(elapsed: Duration, figures: &Figures) -> String {
    format!(
        "{:>4} s  deliveries: {}; events: {}; records: {}; API calls: {}; budget: {}; lag: {}\n",
        elapsed.as_secs(),
        deliveries(figures),
        listed(&figures.events),
        listed(&figures.entities),
        calls(figures),
        budget(figures),
        lag(figures),
    )
}

/// The sum, and what it is made of.
fn listed(counts: &[Count]) -> String {
    let some: Vec<_> = some(counts).map(|(name, count)| format!("{name} {count}")).collect();
    let sum: u64 = counts.iter().map(|(_, count)| count).sum();
    if some.is_empty() { sum.to_string() } else { format!("{sum} ({})", some.join(", ")) }
}

/// Everything in a table of at most 80 columns.
fn table(elapsed: Duration, figures: &Figures) -> String {
    let prefix = &figures.prefix;
    let mut table = String::new();
    let _ = writeln!(table, "deliveries  {}, in {} s", deliveries(figures), elapsed.as_secs());
    let _ = writeln!(table, "API calls   {}", calls(figures));
    let _ = writeln!(table, "budget      {}", budget(figures));
    let _ = writeln!(table, "lag         {}\n", lag(figures));
    let left: Vec<_> = std::iter::once(row(&format!("{prefix}.events.*"), &"EVENTS", LEFT))
        .chain(figures.events.iter().map(|(name, count)| row(name, count, LEFT)))
        .collect();
    let right: Vec<_> = std::iter::once(row(&format!("{prefix}.entities.*"), &"RECORDS", RIGHT))
        .chain(figures.entities.iter().map(|(name, count)| row(name, count, RIGHT)))
        .chain(some(&figures.others).map(|(name, count)| row(&format!("{prefix}.{name}"), count, RIGHT)))
        .collect();
    let empty = " ".repeat(LEFT);
    for at in 0..left.len().max(right.len()) {
        let left = left.get(at).unwrap_or(&empty);
        let _ = writeln!(table, "{left}    {}", right.get(at).map_or("", String::as_str));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Columns of the two halves; what does not fit into its own pushes the rest aside.
const LEFT: usize = 29;
const RIGHT: usize = 47;

fn row(name: &str, count: &impl ToString, width: usize) -> String {
    let count = count.to_string();
    format!("{name} {count:>rest$}", rest = width.saturating_sub(name.len() + 1))
}

fn some(counts: &[Count]) -> impl Iterator<Item = &Count> {
    counts.iter().filter(|(_, count)| *count > 0)
}

fn deliveries(figures: &Figures) -> String {
    let Figures { accepted, quarantined, refused, .. } = figures;
    format!("{accepted} accepted, {quarantined} quarantined, {refused} refused")
}

fn calls(figures: &Figures) -> String {
    format!("{} made, {} saved by coalescing", figures.calls, figures.saved())
}

fn budget(figures: &Figures) -> String {
    let (budget, window) = figures.budget;
    let window = window.as_secs();
    format!("the busiest access token used {} of {budget} requests in {window} s", figures.used())
}

fn lag(figures: &Figures) -> String {
    format!("{} deliveries in the journal, {} events not enriched", figures.pending, figures.not_enriched())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> Vec<Count> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    fn figures() -> Figures {
        Figures {
            prefix: "mews".to_owned(),
            accepted: 40,
            refused: 2,
            pending: 3,
            events: counts(&[("CustomerAdded", 7), ("ResourceBlockUpdated", 123_456), ("unrecognized", 0)]),
            entities: counts(&[("customers", 6), ("resource-blocks", 0)]),
            others: counts(&[
                ("integrations.IntegrationApiKeyCreated", 1),
                ("credentials", 12),
                ("parked", 0),
                ("dead-letters", 1),
            ]),
            to_enrich: 100,
            enriched: 90,
            calls: 31,
            budget_used: 0.2,
            budget: (198, Duration::from_secs(30)),
            ..Figures::default()
        }
    }

    #[test]
    fn the_table_says_everything_in_eighty_columns() {
        let shown = table(Duration::from_secs(7), &figures());
        let expected = "\
deliveries  40 accepted, 0 quarantined, 2 refused, in 7 s
API calls   31 made, 59 saved by coalescing
budget      the busiest access token used 40 of 198 requests in 30 s
lag         3 deliveries in the journal, 10 events not enriched

mews.events.*          EVENTS    mews.entities.*                         RECORDS
CustomerAdded               7    customers                                     6
ResourceBlockUpdated   123456    resource-blocks                               0
unrecognized                0    mews.integrations.IntegrationApiKeyCreated    1
                                 mews.credentials                             12
                                 mews.dead-letters                             1
";
        assert_eq!(shown, expected, "\n{shown}");
        assert!(shown.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn a_line_says_the_same() {
        assert_eq!(
            line(Duration::from_secs(7), &figures()),
            "   7 s  deliveries: 40 accepted, 0 quarantined, 2 refused; \
             events: 123463 (CustomerAdded 7, ResourceBlockUpdated 123456); records: 6 (customers 6); \
             API calls: 31 made, 59 saved by coalescing; \
             budget: the busiest access token used 40 of 198 requests in 30 s; \
             lag: 3 deliveries in the journal, 10 events not enriched\n"
        );
        assert!(line(Duration::ZERO, &Figures::default()).contains("events: 0; records: 0;"));
    }
}
