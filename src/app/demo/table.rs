//! What the demo shows while it runs: on a terminal a table that stays in place, else a line now and then.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    time::Duration,
};

use super::figures::Figures;
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
        if self.is_terminal {
            let table = table(elapsed, figures);
            // Up over what was drawn before, then clear to the end of the screen.
            let up = match self.lines_drawn {
                0 => String::new(),
                lines => format!("\x1b[{lines}A\x1b[J"),
            };
            self.lines_drawn = table.lines().count();
            return output::print(format!("{up}{table}").as_bytes());
        }
        if self.draws % DRAWS_PER_LINE == 1 {
            return output::print(line(elapsed, figures).as_bytes());
        }
        Ok(())
    }

    /// Shows how things stood at the end, in the place of the last table.
    pub fn last(&mut self, elapsed: Duration, figures: &Figures) -> Result<(), Failure> {
        if self.is_terminal {
            return self.draw(elapsed, figures);
        }
        output::print(format!("\n{}", table(elapsed, figures)).as_bytes())
    }
}

/// Everything in one line, for a log.
pub fn line(elapsed: Duration, figures: &Figures) -> String {
    let list = |counts: &[(String, u64)]| {
        let some = counts.iter().filter(|(_, count)| *count > 0);
        some.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    format!(
        "{:>4} s  deliveries: {}. events: {}. records: {}. API calls: {}. lag: {}.\n",
        elapsed.as_secs(),
        deliveries(figures),
        list(&figures.events),
        list(&figures.entities),
        calls(figures),
        lag(figures),
    )
}

/// Everything in a table of 80 columns.
pub fn table(elapsed: Duration, figures: &Figures) -> String {
    let mut table = String::new();
    let _ = writeln!(table, "  deliveries  {} in {} s", deliveries(figures), elapsed.as_secs());
    let _ = writeln!(table, "  API calls   {}", calls(figures));
    let _ = writeln!(table, "  lag         {}\n", lag(figures));
    let left: Vec<_> = titled("EVENTS", &figures.events).collect();
    let others = figures.others.iter().filter(|(_, count)| *count > 0).cloned().collect::<Vec<_>>();
    let right: Vec<_> = titled("RECORDS", &figures.entities).chain(titled("OTHERS", &others)).collect();
    for row in 0..left.len().max(right.len()) {
        let cell = |column: &[String]| column.get(row).cloned().unwrap_or_default();
        let _ = writeln!(table, "{}", format!("  {:<37}{}", cell(&left), cell(&right)).trim_end());
    }
    table
}

/// A title, then a row for each count.
fn titled(title: &str, counts: &[(String, u64)]) -> impl Iterator<Item = String> {
    let rows = counts.iter().map(|(name, count)| format!("{name:<26}{count:>8}"));
    std::iter::once(title.to_owned()).chain(rows)
}

fn deliveries(figures: &Figures) -> String {
    let Figures { accepted, quarantined, refused, .. } = figures;
    format!("{accepted} accepted, {quarantined} quarantined, {refused} refused")
}

fn calls(figures: &Figures) -> String {
    format!(
        "{} made, {} saved by coalescing; the busiest hotel used {} of {}",
        figures.calls,
        figures.saved(),
        figures.used(),
        figures.budget,
    )
}

fn lag(figures: &Figures) -> String {
    format!("{} deliveries in the journal, {} events not enriched", figures.pending, figures.not_enriched())
}
