//! Fields of a table that become others of the same row.

use super::{Now, Proposal, only, primary};
use crate::cli::convert::words::words;
use crate::cli::suggest::difference::numbering;
use crate::cli::suggest::likeness;
use crate::cli::suggest::search::{Oracle, Test};
use crate::cli::suggest::simple::{is_key, place, said};
use crate::name::{Ident, TableName};
use crate::schema::{Field, Table};

/// All of this kind.
pub fn proposals(now: &Now, oracle: &mut dyn Oracle) -> Vec<Proposal> {
    let mut all = Vec::new();
    for (name, table, wanted) in now.common() {
        let at = At { now, name, table, wanted, go: only(table, wanted), come: only(wanted, table) };
        all.extend(at.numbered());
        all.extend(at.unnumbered());
        all.extend(at.inverted());
        all.extend(at.soft());
        all.extend(at.hard());
        all.extend(at.split());
        all.extend(at.merged());
        all.extend(at.flags(oracle));
        all.extend(at.code());
        all.extend(at.extracted(oracle));
    }
    all
}

struct At<'n> {
    now: &'n Now<'n>,
    name: &'n TableName,
    table: &'n Table,
    wanted: &'n Table,
    go: Vec<&'n Field>,
    come: Vec<&'n Field>,
}

fn is_text(field: &Field) -> bool {
    field.type_name == "text" || field.type_name.starts_with("character")
}

fn is_flag(field: &Field) -> bool {
    field.type_name == "boolean"
}

impl At<'_> {
    fn place(&self, field: &Ident) -> String {
        place(self.name, field)
    }

    fn proposal(&self, command: Vec<String>, sentence: String, of: &[&Field], test: Test, likely: usize) -> Proposal {
        let about: Vec<(&TableName, &Ident)> = of.iter().map(|f| (self.name, &f.name)).collect();
        let mut choice = self.now.choice(sentence, &about, test, likely);
        if about.is_empty() {
            choice.about.extend(self.come.iter().map(|f| (self.name.clone(), f.name.clone())));
        }
        Proposal { commands: vec![command], choice }
    }

    /// A new key of numbers.
    fn numbered(&self) -> Option<Proposal> {
        let key = self.come.iter().find(|f| is_key(self.wanted, &f.name))?;
        if numbering(key) == "none" && key.default.is_none() {
            return None;
        }
        let mut command = words(["add-surrogate-key", &self.place(&key.name), "--type", &key.type_name]);
        if numbering(key) == "none" {
            command.extend(key.default.iter().flat_map(|d| ["--default".to_owned(), d.clone()]));
        }
        let sentence = format!("`{}` numbers the rows", self.place(&key.name));
        Some(self.proposal(command, sentence, &[], Test::Pattern(0), 90))
    }

    /// A key of numbers that goes for another one.
    fn unnumbered(&self) -> Option<Proposal> {
        let key = self.go.iter().find(|f| is_key(self.table, &f.name))?;
        let with = primary(self.wanted);
        if with.is_empty() || with.iter().any(|f| self.table.fields.iter().all(|own| own.name != *f)) {
            return None;
        }
        let with: Vec<String> = with.iter().map(said).collect();
        let command = words(["replace-surrogate-key", &self.place(&key.name), "--with", &with.join(",")]);
        let sentence =
            format!("`{}` goes, and who refers to it refers to `{}`", self.place(&key.name), with.join(", "));
        Some(self.proposal(command, sentence, &[*key], Test::Pattern(0), 90))
    }

    /// A flag that says the opposite.
    fn inverted(&self) -> Vec<Proposal> {
        let mut all = Vec::new();
        for old in self.go.iter().filter(|f| is_flag(f)) {
            for new in self
                .come
                .iter()
                .filter(|f| is_flag(f))
                .filter(|new| are_opposites(old.name.as_str(), new.name.as_str()))
            {
                let command = words(["invert-flag", &self.place(&old.name), &said(&new.name)]);
                let sentence =
                    format!("`{}` is true where `{}` is false", self.place(&new.name), self.place(&old.name));
                all.push(self.proposal(command, sentence, &[*old], Test::None, 95));
            }
        }
        all
    }

    /// A new field that marks deleted rows.
    fn soft(&self) -> Option<Proposal> {
        let mark =
            self.come.iter().find(|f| f.name.as_str().contains("delet") || f.name.as_str().contains("archived"))?;
        let typed = mark.type_name.starts_with("timestamp") || mark.type_name == "boolean" || mark.type_name == "date";
        let mut command = words(["soft-delete", &self.name.reference().to_string(), "--field", &said(&mark.name)]);
        if mark.type_name != "timestamp with time zone" {
            command.extend(words(["--type", &mark.type_name]));
        }
        let sentence = format!("`{}` marks rows that are deleted, and they stay", self.place(&mark.name));
        typed.then(|| self.proposal(command, sentence, &[], Test::None, 60))
    }

    /// A field that marked deleted rows.
    fn hard(&self) -> Option<Proposal> {
        let mark = self.go.iter().find(|f| f.name.as_str().contains("delet"))?;
        let command = words(["hard-delete", &self.place(&mark.name)]);
        let sentence = format!("rows that `{}` marks are deleted with it", self.place(&mark.name));
        Some(self.proposal(command, sentence, &[*mark], Test::None, 40))
    }

    /// Several texts instead of one.
    fn split(&self) -> Option<Proposal> {
        let new: Vec<&Field> = self.come.iter().filter(|f| is_text(f)).copied().collect();
        let texts: Vec<&Field> = self.go.iter().filter(|f| is_text(f)).copied().collect();
        let old = *texts.iter().find(|old| akin(old, &new) || texts.len() == 1)?;
        if new.len() < 2 {
            return None;
        }
        let names: Vec<String> = new.iter().map(|f| said(&f.name)).collect();
        let mut command = words(["split-field", &self.place(&old.name), "--into", &names.join(",")]);
        if new.iter().any(|f| f.type_name != "text") {
            command.extend(new.iter().flat_map(|f| ["--types".to_owned(), f.type_name.clone()]));
        }
        for (at, _) in (1..).zip(&new) {
            let by = if at == new.len() && at > 1 {
                format!("nullif(substr({0}, length(concat_ws(' ', {1})) + 2), '')", old.name, heads(&old.name, at - 1))
            } else {
                format!("nullif(split_part({}, ' ', {at}), '')", old.name)
            };
            command.extend(words(["--by", &by]));
        }
        let all: Vec<String> = new.iter().map(|f| f.name.to_string()).collect();
        command.extend(words(["--back", &format!("nullif(concat_ws(' ', {}), '')", all.join(", "))]));
        let sentence = format!("`{}` are the words of `{}`", names.join("`, `"), self.place(&old.name));
        Some(self.proposal(command, sentence, &[old], Test::None, 70))
    }

    /// One text instead of several.
    fn merged(&self) -> Option<Proposal> {
        let old: Vec<&Field> = self.go.iter().filter(|f| is_text(f)).copied().collect();
        let texts: Vec<&Field> = self.come.iter().filter(|f| is_text(f)).copied().collect();
        let new = texts.iter().find(|new| akin(new, &old) || texts.len() == 1)?;
        if old.len() < 2 {
            return None;
        }
        let mut command = words(["merge-fields", &self.place(&old[0].name)]);
        command.extend(old[1..].iter().map(|f| said(&f.name)));
        command.extend(words(["--into", &said(&new.name), "--type", &new.type_name]));
        let names: Vec<String> = old.iter().map(|f| f.name.to_string()).collect();
        command.extend(words(["--by", &format!("nullif(concat_ws(' ', {}), '')", names.join(", "))]));
        for at in 1..=old.len() {
            let back = if at == old.len() {
                format!("nullif(substr({0}, length(concat_ws(' ', {1})) + 2), '')", new.name, heads(&new.name, at - 1))
            } else {
                format!("nullif(split_part({}, ' ', {at}), '')", new.name)
            };
            command.extend(words(["--back", &back]));
        }
        let sentence = format!("`{}` is `{}`, with a space between", self.place(&new.name), names.join("` and `"));
        Some(self.proposal(command, sentence, &old, Test::None, 70))
    }

    /// Flags instead of a code.
    fn flags(&self, oracle: &mut dyn Oracle) -> Vec<Proposal> {
        let flags: Vec<&Field> = self.come.iter().filter(|f| is_flag(f)).copied().collect();
        if flags.is_empty() {
            return Vec::new();
        }
        let mut all = Vec::new();
        for code in self.go.iter().filter(|f| !is_flag(f)) {
            let Some((table, field)) = self.now.node.origin(self.name, &code.name) else { continue };
            let mut codes = allowed(self.table, &code.name);
            if codes.is_empty() {
                codes = oracle.values(&table, &field).unwrap_or_default();
            }
            let pairs = by_name(&codes, &flags);
            if pairs.len() != codes.len() || pairs.is_empty() {
                continue;
            }
            let map: Vec<String> =
                pairs.iter().map(|(code, flag)| format!("{}={}", quoted(code), said(&flag.name))).collect();
            let command = words(["code-to-flags", &self.place(&code.name), "--map", &map.join(",")]);
            let names: Vec<String> = flags.iter().map(|f| said(&f.name)).collect();
            let sentence = format!("`{}` say which value `{}` had", names.join("`, `"), self.place(&code.name));
            all.push(self.proposal(command, sentence, &[*code], Test::Pattern(0), 80));
        }
        all
    }

    /// A code instead of flags.
    fn code(&self) -> Option<Proposal> {
        let flags: Vec<&Field> = self.go.iter().filter(|f| is_flag(f)).copied().collect();
        let code = self.come.iter().find(|f| !is_flag(f) && f.generated.is_none())?;
        if flags.len() < 2 {
            return None;
        }
        let mut command = words(["flags-to-code", &self.place(&flags[0].name)]);
        command.extend(flags[1..].iter().map(|f| said(&f.name)));
        command.extend(words(["--into", &said(&code.name)]));
        let pairs = by_name(&allowed(self.wanted, &code.name), &flags);
        if pairs.len() == flags.len() {
            let map: Vec<String> =
                pairs.iter().map(|(code, flag)| format!("{}={}", said(&flag.name), quoted(code))).collect();
            command.extend(words(["--map", &map.join(",")]));
        }
        if code.type_name != "text" {
            command.extend(words(["--type", &code.type_name]));
        }
        let names: Vec<String> = flags.iter().map(|f| said(&f.name)).collect();
        let sentence = format!("`{}` says which of `{}` is true", self.place(&code.name), names.join("`, `"));
        Some(self.proposal(command, sentence, &flags, Test::Pattern(0), 80))
    }

    /// A field with what stands under a key of the same name.
    fn extracted(&self, oracle: &mut dyn Oracle) -> Vec<Proposal> {
        let mut all = Vec::new();
        for json in self.table.fields.iter().filter(|f| matches!(f.type_name.as_str(), "json" | "jsonb")) {
            let Some((table, field)) = self.now.node.origin(self.name, &json.name) else { continue };
            let keys = oracle.keys(&table, &field);
            for new in self.come.iter().filter(|f| keys.contains(f.name.as_str())) {
                let key = new.name.as_str();
                let mut command = words(["extract-json", &self.place(&json.name), key, &new.type_name]);
                if new.not_null {
                    command.push("--not-null".to_owned());
                }
                let sentence =
                    format!("`{}` is what stands under `{key}` in `{}`", self.place(&new.name), self.place(&json.name));
                let mut proposal = self.proposal(command, sentence, &[], Test::Pattern(0), 85);
                proposal.choice.about = [(self.name.clone(), new.name.clone())].into();
                all.push(proposal);
            }
        }
        all
    }
}

/// The first words of a field, as a list.
fn heads(field: &Ident, count: usize) -> String {
    (1..=count).map(|at| format!("split_part({field}, ' ', {at})")).collect::<Vec<_>>().join(", ")
}

/// Whether the name of one is a part of the names of several.
fn akin(one: &Field, several: &[&Field]) -> bool {
    let last = one.name.as_str().rsplit('_').next().unwrap_or_default().to_owned();
    several.len() > 1
        && several
            .iter()
            .all(|f| f.name.as_str().contains(&last) || likeness::names(f.name.as_str(), one.name.as_str()) >= 60)
}

/// Each code with the flag that has its name.
fn by_name<'f>(codes: &[String], flags: &[&'f Field]) -> Vec<(String, &'f Field)> {
    let one = |code: &String| {
        let plain: String = code.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        let flag = flags.iter().find(|f| {
            let name: String = f.name.as_str().to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
            let name = name.strip_prefix("is").unwrap_or(&name).to_owned();
            !plain.is_empty() && (name == plain || name.starts_with(&plain) || plain.len() > 3 && name.contains(&plain))
        })?;
        Some((code.clone(), *flag))
    };
    let mut pairs: Vec<(String, &Field)> = codes.iter().filter_map(one).collect();
    pairs.dedup_by(|a, b| a.1.name == b.1.name);
    pairs
}

fn quoted(code: &str) -> String {
    if code.contains(['=', ',', '\'']) { crate::sql::Literal(code.to_owned()).to_string() } else { code.to_owned() }
}

/// The values that a check lists for a field.
pub fn allowed(table: &Table, field: &Ident) -> Vec<String> {
    let checks = table.constraints.iter().filter_map(crate::relation::checked);
    let mut lists = checks.filter_map(|check| crate::sql::codes::allowed(&check, field));
    lists.next().map(|set| set.into_iter().collect()).unwrap_or_default()
}

/// Whether two names say the opposite.
fn are_opposites(one: &str, other: &str) -> bool {
    const PAIRS: [(&str, &str); 10] = [
        ("enabled", "disabled"),
        ("active", "inactive"),
        ("visible", "hidden"),
        ("open", "closed"),
        ("public", "private"),
        ("valid", "invalid"),
        ("paid", "unpaid"),
        ("allowed", "forbidden"),
        ("available", "unavailable"),
        ("read", "unread"),
    ];
    let bare = |name: &str| name.strip_prefix("is_").unwrap_or(name).to_owned();
    let (one, other) = (bare(one), bare(other));
    let not =
        |a: &str, b: &str| ["not_", "no_", "non_", "un", "in", "dis"].iter().any(|p| b.strip_prefix(p) == Some(a));
    let known = |a: &str, b: &str| PAIRS.iter().any(|(x, y)| a.replace(x, y) == b && a.contains(x));
    not(&one, &other) || not(&other, &one) || known(&one, &other) || known(&other, &one)
}
