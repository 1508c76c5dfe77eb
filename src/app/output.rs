//! Lists on standard output: a table on a terminal, JSON lines for programs.

use std::{
    io::{self, IsTerminal as _, Write},
    ops::ControlFlow,
};

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

/// Rows of a table that are aligned with each other.
const PAGE_ROWS: usize = 500;

/// A list of any length, written while it is read: JSON at once, a table page by page.
pub struct Stream<W> {
    page: List,
    form: Form,
    pages: usize,
    out: W,
}

impl Stream<io::StdoutLock<'static>> {
    /// An empty list on standard output.
    #[must_use]
    pub fn to_stdout(columns: &'static [&'static str], output: Output) -> Self {
        let out = io::stdout().lock();
        let form = output.form.unwrap_or(if out.is_terminal() { Form::Table } else { Form::Json });
        Self { page: List::new(columns), form, pages: 0, out }
    }
}

impl<W: Write> Stream<W> {
    /// Adds a row: one value a column. Breaks off with the failure when nothing can be written any
    /// more, and with none when the reader has gone.
    pub fn push(&mut self, row: Vec<Value>) -> ControlFlow<Result<(), Failure>> {
        self.page.push(row);
        let full = self.page.rows.len() >= if self.form == Form::Json { 1 } else { PAGE_ROWS };
        if full { self.flush() } else { ControlFlow::Continue(()) }
    }

    /// Writes what is left. A table has its header even when it is empty.
    ///
    /// # Errors
    /// When it cannot be written; a reader that has gone is none.
    pub fn end(mut self) -> Result<(), Failure> {
        if self.pages > 0 && self.page.rows.is_empty() {
            return Ok(());
        }
        match self.flush() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(result) => result,
        }
    }

    fn flush(&mut self) -> ControlFlow<Result<(), Failure>> {
        let result = match self.form {
            Form::Table => self.page.write_table(&mut self.out),
            Form::Json => self.page.write_json(&mut self.out),
        };
        self.page.rows.clear();
        self.pages += 1;
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(written(Err(error))),
        }
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
    fn a_long_list_is_written_while_it_is_read() {
        let stream = |form, rows: usize| {
            let mut out = Vec::new();
            let mut stream = Stream { page: List::new(&["n"]), form, pages: 0, out: &mut out };
            for n in 0..rows {
                assert!(stream.push(vec![n.into()]).is_continue());
                assert!(stream.page.rows.len() < PAGE_ROWS, "memory is bounded");
            }
            stream.end().unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(stream(Form::Json, 2), "{\"n\":0}\n{\"n\":1}\n");
        assert_eq!((stream(Form::Table, 0).as_str(), stream(Form::Json, 0).as_str()), ("N\n", ""));
        let table = stream(Form::Table, 2 * PAGE_ROWS);
        assert_eq!(table.lines().count(), 2 * PAGE_ROWS + 2, "each page has its header");
    }

    #[test]
    fn a_reader_that_has_gone_ends_a_list_without_failure() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut stream = Stream { page: List::new(&["n"]), form: Form::Json, pages: 0, out: Gone };
        assert!(matches!(stream.push(vec![1.into()]), ControlFlow::Break(Ok(()))));
    }

    #[test]
    fn json_is_an_object_a_line() {
        let mut out = Vec::new();
        list().write_json(&mut out).unwrap();
        let first: Value = serde_json::from_slice(out.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        assert_eq!(first["partitions"], 12);
    }
}
