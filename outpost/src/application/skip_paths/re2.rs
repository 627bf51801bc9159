//! Translates a regular expression of Go (RE2's syntax, as the package `regexp` has it) into one of
//! the crate `regex` that matches the same texts.
//!
//! The two look alike and differ in what an operator may have written for years: `\d` and `\w` are
//! ASCII in Go, `x{y}` and `[a&&b]` are literal characters there, and `\Q…\E` quotes. An expression
//! that Go refuses is refused here too, so that no translation opens a path which authentik's own
//! outpost keeps closed. A few expressions that Go accepts are refused; see [`Refused`].
//!
//! The translation spells everything out: each character as itself or by its number, each flag at the
//! part that it applies to. So nothing depends on how the crate reads the rest.

use escape::escaped_char;
use refused::Refused;

mod class;
mod escape;
mod refused;

const PERL: Refused = Refused::Syntax(
    "`(?` must begin a group `(?:…)`, a name `(?P<name>…)` or flags; there is no lookaround",
);
const NOTHING_TO_REPEAT: Refused = Refused::Syntax("nothing stands before a repetition");
const TOO_MANY: Refused =
    Refused::Syntax("a repetition of more than 1000, or with its limits swapped");
const NO_PARENTHESIS: Refused = Refused::Syntax("a `(` without its `)`");

/// The most that nested repetitions may multiply to, as in Go.
const MAX_REPETITIONS: u32 = 1000;

/// Returns the expression of the crate `regex` that matches what `expression` matches in Go.
pub(super) fn translate(expression: &str) -> Result<String, Refused> {
    let mut translator = Translator {
        rest: expression,
        ..Translator::default()
    };
    translator.run()?;
    Ok(translator.out)
}

/// The flags in force.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    /// `i`: letters match in either case.
    fold: bool,
    /// `m`: `^` and `$` match at every line.
    multi_line: bool,
    /// `s`: `.` matches a line break.
    dot_all: bool,
}

/// What a repetition would repeat.
#[derive(Clone, Copy, Debug)]
struct Operand {
    /// Where it begins in the output.
    start: usize,
    /// What its own nested repetitions multiply to.
    repetitions: u32,
    /// Whether it ends with a repetition, which another one could be taken for a part of.
    repeated: bool,
}

/// A group that is not closed yet.
#[derive(Clone, Copy, Debug)]
struct Group {
    start: usize,
    flags_before: Flags,
    /// The most repetitions of what stood beside the group before it.
    repetitions_before: u32,
}

#[derive(Debug, Default)]
struct Translator<'e> {
    rest: &'e str,
    out: String,
    flags: Flags,
    groups: Vec<Group>,
    operand: Option<Operand>,
    /// The most repetitions of a part of the innermost group so far.
    repetitions: u32,
    /// Whether the part before this one is a repetition, to which Go allows no further one.
    after_repetition: bool,
}

impl<'e> Translator<'e> {
    fn run(&mut self) -> Result<(), Refused> {
        while let Some(next) = self.rest.chars().next() {
            let after_repetition = std::mem::take(&mut self.after_repetition);
            match next {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.skip(1);
                    self.out.push('|');
                    self.operand = None;
                }
                '^' | '$' | '.' => {
                    self.skip(1);
                    let text = self.symbol(next);
                    self.push(text);
                }
                '[' => {
                    let (text, rest) = class::bracketed(self.rest)?;
                    self.rest = rest;
                    self.push_letters(&text);
                }
                '*' | '+' | '?' => {
                    self.skip(1);
                    self.repeat(&next.to_string(), 1, after_repetition)?;
                }
                '{' => self.braces(after_repetition)?,
                '\\' => self.escape()?,
                literal => {
                    self.skip(literal.len_utf8());
                    self.push_literal(literal);
                }
            }
        }
        self.groups.is_empty().then_some(()).ok_or(NO_PARENTHESIS)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Returns what `^`, `$` or `.` means with the flags in force.
    fn symbol(&self, symbol: char) -> &'static str {
        match symbol {
            '^' if self.flags.multi_line => "(?m:^)",
            '^' => r"\A",
            '$' if self.flags.multi_line => "(?m:$)",
            '$' => r"\z",
            _ if self.flags.dot_all => "(?s:.)",
            _ => r"[^\n]",
        }
    }

    /// Writes a part that a repetition may follow.
    fn push(&mut self, text: &str) {
        self.operand = Some(Operand {
            start: self.out.len(),
            repetitions: 1,
            repeated: false,
        });
        self.repetitions = self.repetitions.max(1);
        self.out.push_str(text);
    }

    /// Writes a part whose letters match in either case where the flags say so.
    fn push_letters(&mut self, text: &str) {
        if self.flags.fold {
            self.push(&format!("(?i:{text})"));
        } else {
            self.push(text);
        }
    }

    fn push_literal(&mut self, literal: char) {
        let mut text = String::new();
        class::write_char(&mut text, literal);
        self.push_letters(&text);
    }

    fn open(&mut self) -> Result<(), Refused> {
        let flags = match self.rest.strip_prefix("(?") {
            None => {
                self.skip(1);
                self.flags
            }
            Some(rest) if rest.starts_with("P<") || rest.starts_with('<') => {
                self.named(rest)?;
                self.flags
            }
            Some(rest) => match self.changed_flags(rest)? {
                (flags, ':') => flags,
                (flags, _) => {
                    self.flags = flags;
                    return Ok(());
                }
            },
        };
        self.groups.push(Group {
            start: self.out.len(),
            flags_before: self.flags,
            repetitions_before: self.repetitions,
        });
        self.flags = flags;
        self.out.push_str("(?:");
        self.operand = None;
        self.repetitions = 1;
        Ok(())
    }

    /// Reads the name of a group behind `(?`.
    fn named(&mut self, rest: &'e str) -> Result<(), Refused> {
        const NAME: Refused = Refused::Syntax("a group whose name is invalid");
        let (_, rest) = rest.split_once('<').ok_or(NAME)?;
        let (name, rest) = rest.split_once('>').ok_or(NAME)?;
        let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if name.is_empty() || !name.chars().all(is_word) {
            return Err(NAME);
        }
        self.rest = rest;
        Ok(())
    }

    /// Reads flags behind `(?`, and returns them with the `:` or `)` that ends them.
    fn changed_flags(&mut self, rest: &'e str) -> Result<(Flags, char), Refused> {
        let mut flags = self.flags;
        let (mut on, mut any) = (true, false);
        for (at, c) in rest.char_indices() {
            match c {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_all = on,
                // Which of several matches counts does not matter here.
                'U' => {}
                '-' if on => on = false,
                ':' | ')' if on || any => {
                    self.rest = rest.get(at + 1..).unwrap_or_default();
                    return Ok((flags, c));
                }
                _ => return Err(PERL),
            }
            any = c != '-';
        }
        Err(PERL)
    }

    fn close(&mut self) -> Result<(), Refused> {
        let group = self.groups.pop();
        let group = group.ok_or(Refused::Syntax("a `)` without its `(`"))?;
        self.skip(1);
        self.out.push(')');
        self.flags = group.flags_before;
        self.operand = Some(Operand {
            start: group.start,
            repetitions: self.repetitions,
            repeated: false,
        });
        self.repetitions = self.repetitions.max(group.repetitions_before);
        Ok(())
    }

    /// Writes a repetition, `times` at most or, without a limit, at least.
    fn repeat(&mut self, text: &str, times: u32, after_repetition: bool) -> Result<(), Refused> {
        // Which of several matches counts does not matter here.
        if self.rest.starts_with('?') {
            self.skip(1);
        }
        if after_repetition {
            return Err(Refused::Syntax("two repetitions in a row"));
        }
        let operand = self.operand.ok_or(NOTHING_TO_REPEAT)?;
        let repetitions = operand.repetitions.saturating_mul(times.max(1));
        if repetitions > MAX_REPETITIONS {
            return Err(TOO_MANY);
        }
        if operand.repeated {
            self.out.insert_str(operand.start, "(?:");
            self.out.push(')');
        }
        self.out.push_str(text);
        self.operand = Some(Operand {
            start: operand.start,
            repetitions,
            repeated: true,
        });
        self.repetitions = self.repetitions.max(repetitions);
        self.after_repetition = true;
        Ok(())
    }

    /// Reads what may be a repetition in braces; other braces are characters.
    fn braces(&mut self, after_repetition: bool) -> Result<(), Refused> {
        let Some((least, most, rest)) = counts(self.rest) else {
            self.skip(1);
            self.push_literal('{');
            return Ok(());
        };
        let in_order = most.is_none_or(|most| least <= most);
        if least > MAX_REPETITIONS || most.is_some_and(|most| most > MAX_REPETITIONS) || !in_order {
            return Err(TOO_MANY);
        }
        self.rest = rest;
        let text = match most {
            Some(most) => format!("{{{least},{most}}}"),
            None => format!("{{{least},}}"),
        };
        self.repeat(&text, most.unwrap_or(least), after_repetition)
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let escaped = self.rest.chars().nth(1);
        let text = match escaped {
            Some('A') => r"\A",
            Some('z') => r"\z",
            Some('b') => r"(?-u:\b)",
            Some('B') => return Err(Refused::Unsupported(r"`\B`")),
            Some('C') => return Err(Refused::Syntax(r"`\C`, a single byte")),
            Some('Q') => {
                self.skip(2);
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                quoted.chars().for_each(|c| self.push_literal(c));
                return Ok(());
            }
            _ => {
                if let Some((text, rest)) = class::named(self.rest)? {
                    self.rest = rest;
                    self.push_letters(&text);
                } else {
                    let (literal, rest) = escaped_char(self.rest)?;
                    self.rest = rest;
                    self.push_literal(literal);
                }
                return Ok(());
            }
        };
        self.skip(2);
        self.push(text);
        Ok(())
    }
}

/// Reads `{n}`, `{n,}` or `{n,m}`. `None` for other braces.
fn counts(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (least, rest) = count(text.strip_prefix('{')?)?;
    let (most, rest) = match rest.strip_prefix(',') {
        None => (Some(least), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (most, rest) = count(rest)?;
            (Some(most), rest)
        }
    };
    Some((least, most, rest.strip_prefix('}')?))
}

/// Reads a decimal number without leading zeros; one that is too large to count as the largest.
fn count(text: &str) -> Option<(u32, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    (!digits.is_empty() && !leading_zero).then(|| (digits.parse().unwrap_or(u32::MAX), rest))
}

#[cfg(test)]
mod tests;
