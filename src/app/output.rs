//! Lists on standard output: a table on a terminal, JSON lines for programs.

use std::io::{self, IsTerminal as _, Write};

use serde_json::{Map, Value};

use super::{
    arguments::{Form, Output},
    exit::Failure,
};

/// A list whose rows all have the same columns.
#[derive(Debug)]
pub struct List {
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl List {
    /// An empty list.
    #[must_use]
    pub fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row: one value a column.
    pub fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len(), "one value a column");
        self.rows.push(row);
    }

    /// Writes the list to standard output.
    ///
    /// # Errors
    /// When that cannot be written to; a reader that has gone is none.
    pub fn print(&self, output: Output) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let form = output.form.unwrap_or(if stdout.is_terminal() { Form::Table } else { Form::Json });
        written(match form {
            Form::Table => self.write_table(&mut stdout),
            Form::Json => self.write_json(&mut stdout),
        })
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            let members = self.columns.iter().map(|column| (*column).to_owned()).zip(row.iter().cloned());
            writeln!(out, "{}", Value::Object(Map::from_iter(members)))?;
        }
        out.flush()
    }

    fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                rows.iter().map(|row| row[at].chars().count()).chain([column.len()]).max().unwrap_or(0)
            })
            .collect();
        let header = self.columns.iter().map(|column| column.to_uppercase()).collect();
        for row in [header].iter().chain(&rows) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        out.flush()
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Writes text to standard output.
///
/// # Errors
/// When that cannot be written to; a reader that has gone is none.
pub fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::io("cannot write to standard output", &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        let mut list = List::new(&["topic", "partitions"]);
        list.push(vec!["mews.events.ResourceUpdated".into(), 12.into()]);
        list.push(vec!["x".into(), Value::Null]);
        list
    }

    #[test]
    fn a_table_is_aligned() {
        let mut out = Vec::new();
        list().write_table(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "TOPIC                        PARTITIONS\nmews.events.ResourceUpdated  12\nx                            -\n"
        );
    }

    #[test]
    fn json_is_an_object_a_line() {
        let mut out = Vec::new();
        list().write_json(&mut out).unwrap();
        let first: Value = serde_json::from_slice(out.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        assert_eq!(first["partitions"], 12);
    }
}
