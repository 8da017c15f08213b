//! Runs a template on a row.

use std::collections::HashMap;

use super::functions::{Environment, Function, quote_text};
use super::moment::Moment;
use super::node::{Branch, Command, Node, Operand, Pipeline};
use super::time_layout;
use super::value::{Type, Value, label_map};
use super::{DEPTH_MAX, STEPS_MAX, Scope, TEXT_BYTES_MAX, Template};

/// Appends what `template` prints.
pub(super) fn execute(template: &Template, scope: &dyn Scope, output: &mut Vec<u8>) -> Result<(), String> {
    let environment = Environment { scope, expressions: &template.expressions };
    let mut run = Run {
        template,
        environment,
        name: template.name.to_owned(),
        variables: vec![("$".to_owned(), Value::Labels)],
        output,
        printed: 0,
        depth: 0,
        steps: 0,
    };
    run.nodes(&Value::Labels, template.definitions.root()).map(|_| ())
}

/// How a list of nodes was left.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// What an operator of a command may be given from the left of its pipe.
type Piped = Option<Value>;

struct Run<'r> {
    template: &'r Template,
    environment: Environment<'r>,
    /// The template that is running.
    name: String,
    variables: Vec<(String, Value)>,
    output: &'r mut Vec<u8>,
    printed: usize,
    depth: usize,
    steps: usize,
}

impl<'r> Run<'r> {
    fn scope(&self) -> &'r dyn Scope {
        self.environment.scope
    }

    /// An error at a part of the template, as Go words it.
    fn error(&self, at: usize, part: &dyn std::fmt::Display, problem: &str) -> String {
        let before = &self.template.text[..at.min(self.template.text.len())];
        let line = 1 + before.matches('\n').count();
        let column = before.rfind('\n').map_or(at, |newline| at - newline - 1);
        let name = quote_text(&self.name);
        format!("template: {}:{line}:{column}: executing {name} at <{part}>: {problem}", self.template.name)
    }

    fn step(&mut self, at: usize, part: &dyn std::fmt::Display) -> Result<(), String> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(self.error(at, part, &format!("template takes more than {STEPS_MAX} steps")));
        }
        Ok(())
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.printed += bytes.len();
        if self.printed > TEXT_BYTES_MAX {
            return Err(format!("template: {}: prints more than {TEXT_BYTES_MAX} bytes", self.template.name));
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    fn nodes(&mut self, dot: &Value, nodes: &'r [Node]) -> Result<Flow, String> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &Value, node: &'r Node) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.print(text)?,
            Node::Action { at, pipeline } => {
                self.step(*at, pipeline)?;
                let value = self.pipeline(dot, pipeline)?;
                if pipeline.declared.is_empty() {
                    match &value {
                        Value::Nil => self.print(b"<no value>")?,
                        Value::Text(text) => self.print(text)?,
                        _ => self.print(&value.printed(self.scope()))?,
                    }
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Call { at, name, pipeline } => self.call(dot, *at, name, pipeline.as_ref())?,
        }
        Ok(Flow::Next)
    }

    fn branch(&mut self, dot: &Value, branch: &'r Branch, sets_dot: bool) -> Result<Flow, String> {
        self.step(branch.at, &branch.pipeline)?;
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let flow = if value.is_true(self.scope()) {
            self.nodes(if sets_dot { &value } else { dot }, &branch.body)?
        } else {
            match &branch.otherwise {
                Some(nodes) => self.nodes(dot, nodes)?,
                None => Flow::Next,
            }
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value, branch: &'r Branch) -> Result<Flow, String> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let items: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::List(list) => (0..).map(Value::Int).zip(list.iter().cloned()).collect(),
            Value::Map(map) => map.iter().map(|(key, value)| (Value::text(key), value.clone())).collect(),
            Value::Labels => label_map(self.scope())
                .iter()
                .map(|(key, value)| (Value::text(key), Value::text(value)))
                .collect(),
            Value::Int(count) => {
                let count = usize::try_from(*count).unwrap_or(0).min(STEPS_MAX + 1);
                (0..).take(count).map(|index| (Value::Int(index), Value::Int(index))).collect()
            }
            other => {
                let shown = String::from_utf8_lossy(&other.printed(self.scope())).into_owned();
                return Err(self.error(
                    branch.at,
                    &branch.pipeline,
                    &format!("range can't iterate over {shown}"),
                ));
            }
        };
        let body_mark = self.variables.len();
        let is_empty = items.is_empty();
        for (key, item) in items {
            self.step(branch.at, &branch.pipeline)?;
            let declared = branch.pipeline.declared.len();
            if declared > 0 {
                self.set_recent(1, item.clone());
            }
            if declared > 1 {
                self.set_recent(2, key);
            }
            let flow = self.nodes(&item, &branch.body)?;
            self.variables.truncate(body_mark);
            if flow == Flow::Break {
                break;
            }
        }
        self.variables.truncate(mark);
        match &branch.otherwise {
            Some(nodes) if is_empty => self.nodes(dot, nodes),
            _ => Ok(Flow::Next),
        }
    }

    /// Sets the variable that was declared `nth` last.
    fn set_recent(&mut self, nth: usize, value: Value) {
        let index = self.variables.len().checked_sub(nth);
        if let Some(variable) = index.and_then(|index| self.variables.get_mut(index)) {
            variable.1 = value;
        }
    }

    fn call(
        &mut self,
        dot: &Value,
        at: usize,
        name: &[u8],
        pipeline: Option<&'r Pipeline>,
    ) -> Result<(), String> {
        let shown = String::from_utf8_lossy(name).into_owned();
        let part = format!("{{{{template {}}}}}", quote_text(&shown));
        let definitions: &'r HashMap<_, _> = &self.template.definitions.named;
        let Some(nodes) = definitions.get(name) else {
            return Err(self.error(at, &part, &format!("template {} not defined", quote_text(&shown))));
        };
        if self.depth >= DEPTH_MAX {
            return Err(self.error(at, &part, &format!("exceeded maximum template depth ({DEPTH_MAX})")));
        }
        let argument = match pipeline {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::Nil,
        };
        let variables = std::mem::replace(&mut self.variables, vec![("$".to_owned(), argument.clone())]);
        let outer = std::mem::replace(&mut self.name, shown);
        self.depth += 1;
        self.nodes(&argument, nodes)?;
        self.depth -= 1;
        self.name = outer;
        self.variables = variables;
        Ok(())
    }

    fn pipeline(&mut self, dot: &Value, pipeline: &'r Pipeline) -> Result<Value, String> {
        let mut value: Piped = None;
        for command in &pipeline.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipeline.declared {
            if pipeline.is_assignment {
                match self.variables.iter_mut().rev().find(|variable| variable.0 == *name) {
                    Some(variable) => variable.1 = value.clone(),
                    None => {
                        return Err(self.error(
                            pipeline.at,
                            pipeline,
                            &format!("undefined variable: {name}"),
                        ));
                    }
                }
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &'r Command, piped: Piped) -> Result<Value, String> {
        self.step(command.at, command)?;
        let Some((first, arguments)) = command.operands.split_first() else { return Ok(Value::Nil) };
        match first {
            Operand::Function { at, function } => {
                self.function(dot, function, *at, (command.at, command), arguments, piped)
            }
            Operand::Field { .. } | Operand::Chain { .. } | Operand::Variable { .. } => {
                self.fields(dot, first, arguments, piped)
            }
            _ => {
                if !arguments.is_empty() || piped.is_some() {
                    return Err(self.error(
                        first.at(),
                        first,
                        &format!("can't give argument to non-function {first}"),
                    ));
                }
                match first {
                    Operand::Nil { at } => Err(self.error(*at, first, "nil is not a command")),
                    _ => self.operand(dot, first),
                }
            }
        }
    }

    /// The value of an operand that is given no arguments.
    fn operand(&mut self, dot: &Value, operand: &'r Operand) -> Result<Value, String> {
        Ok(match operand {
            Operand::Dot { .. } => dot.clone(),
            Operand::Nil { .. } => Value::Nil,
            Operand::Bool { value, .. } => Value::Bool(*value),
            Operand::Number { at, text, number } => match (number.is_float, number.float, number.integer) {
                (true, Some(value), _) => Value::Float(value),
                (_, _, Some(value)) => Value::Int(value),
                _ => return Err(self.error(*at, operand, &format!("{text} overflows int"))),
            },
            Operand::Text { value, .. } => Value::text(value),
            Operand::Pipeline(pipeline) => self.pipeline(dot, pipeline)?,
            Operand::Function { at, function } => {
                self.function(dot, function, *at, (*at, operand), &[], None)?
            }
            Operand::Field { .. } | Operand::Chain { .. } | Operand::Variable { .. } => {
                self.fields(dot, operand, &[], None)?
            }
        })
    }

    /// A field, variable or chain, whose last name may be a method with arguments.
    fn fields(
        &mut self,
        dot: &Value,
        operand: &'r Operand,
        arguments: &'r [Operand],
        piped: Piped,
    ) -> Result<Value, String> {
        let (at, mut value, names) = match operand {
            Operand::Field { at, names } => (*at, dot.clone(), names),
            Operand::Chain { at, of, names } => (*at, self.operand(dot, of)?, names),
            Operand::Variable { at, name, names } => {
                let found = self.variables.iter().rev().find(|variable| variable.0 == *name);
                let Some((_, value)) = found else {
                    return Err(self.error(*at, operand, &format!("undefined variable: {name}")));
                };
                (*at, value.clone(), names)
            }
            _ => return self.operand(dot, operand),
        };
        let has_arguments = !arguments.is_empty() || piped.is_some();
        let Some((last, inner)) = names.split_last() else {
            if has_arguments {
                return Err(self.error(
                    at,
                    operand,
                    &format!("can't give argument to non-function {operand}"),
                ));
            }
            return Ok(value);
        };
        for name in inner {
            value = self.field(at, operand, &value, name)?;
        }
        if let Value::Time(time) = &value {
            let time = time.clone();
            let mut values = Vec::new();
            for argument in arguments {
                values.push(self.operand(dot, argument)?);
            }
            values.extend(piped);
            return method(&time, last, &values).map_err(|problem| self.error(at, operand, &problem));
        }
        if has_arguments {
            return Err(self.error(at, operand, &format!("{last} is not a method but has arguments")));
        }
        self.field(at, operand, &value, last)
    }

    fn field(&self, at: usize, part: &Operand, value: &Value, name: &str) -> Result<Value, String> {
        match value {
            Value::Nil => Ok(Value::Nil),
            Value::Labels => Ok(Value::text(self.scope().label(name).unwrap_or(""))),
            Value::Map(map) => Ok(map.get(name).cloned().unwrap_or(Value::Nil)),
            Value::Time(time) => method(time, name, &[]).map_err(|problem| self.error(at, part, &problem)),
            other => Err(self.error(
                at,
                part,
                &format!("can't evaluate field {name} in type {}", other.type_name()),
            )),
        }
    }

    /// Calls a function; `whole` is the command that an error of the function itself points at.
    fn function(
        &mut self,
        dot: &Value,
        function: &'static Function,
        at: usize,
        whole: (usize, &dyn std::fmt::Display),
        arguments: &'r [Operand],
        piped: Piped,
    ) -> Result<Value, String> {
        let name = function.name;
        let given = arguments.len() + usize::from(piped.is_some());
        let fixed = function.parameters.len();
        let problem = match function.rest {
            Some(_) if given < fixed => {
                format!("wrong number of args for {name}: want at least {fixed} got {}", arguments.len())
            }
            None if given != fixed => format!("wrong number of args for {name}: want {fixed} got {given}"),
            _ => String::new(),
        };
        if !problem.is_empty() {
            return Err(self.error(at, &name, &problem));
        }
        let type_of =
            |index: usize| function.parameters.get(index).copied().or(function.rest).unwrap_or(Type::Any);
        if let Some(decides) = function.short_circuit {
            return self.short_circuit(dot, decides, arguments, piped);
        }
        let mut values = Vec::with_capacity(given);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(dot, argument, type_of(index))?);
        }
        if let Some(value) = piped {
            let wanted = type_of(arguments.len());
            let checked = check_type(value, wanted);
            values.push(checked.map_err(|problem| self.error(at, &name, &problem))?);
        }
        let result = (function.call)(&self.environment, &values).and_then(|value| match &value {
            Value::Text(text) if text.len() > TEXT_BYTES_MAX => {
                Err(format!("text is {} bytes, limit is {TEXT_BYTES_MAX}", text.len()))
            }
            _ => Ok(value),
        });
        result.map_err(|problem| self.error(whole.0, whole.1, &format!("error calling {name}: {problem}")))
    }

    /// `and` and `or`: the first argument whose truth is `decides`, or the last.
    fn short_circuit(
        &mut self,
        dot: &Value,
        decides: bool,
        arguments: &'r [Operand],
        piped: Piped,
    ) -> Result<Value, String> {
        let mut value = Value::Nil;
        for argument in arguments {
            value = self.argument(dot, argument, Type::Any)?;
            if value.is_true(self.scope()) == decides {
                return Ok(value);
            }
        }
        Ok(piped.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Value, operand: &'r Operand, wanted: Type) -> Result<Value, String> {
        let at = operand.at();
        self.step(at, operand)?;
        // Constants take the type that is asked for.
        match (operand, wanted) {
            (Operand::Number { number, .. }, Type::Int) => {
                return match number.integer {
                    Some(value) => Ok(Value::Int(value)),
                    None => Err(self.error(at, operand, &format!("expected integer; found {operand}"))),
                };
            }
            (Operand::Number { number, .. }, Type::Float) => {
                return match number.float {
                    Some(value) => Ok(Value::Float(value)),
                    None => Err(self.error(at, operand, &format!("expected float; found {operand}"))),
                };
            }
            (Operand::Text { .. } | Operand::Bool { .. }, Type::Int) => {
                return Err(self.error(at, operand, &format!("expected integer; found {operand}")));
            }
            (Operand::Text { .. } | Operand::Bool { .. }, Type::Float) => {
                return Err(self.error(at, operand, &format!("expected float; found {operand}")));
            }
            (Operand::Number { .. } | Operand::Bool { .. }, Type::Text) => {
                return Err(self.error(at, operand, &format!("expected string; found {operand}")));
            }
            (Operand::Nil { .. }, Type::Text | Type::Int | Type::Float | Type::Time) => {
                return Err(self.error(at, operand, &format!("cannot assign nil to {}", wanted.name())));
            }
            _ => {}
        }
        let value = self.operand(dot, operand)?;
        check_type(value, wanted).map_err(|problem| self.error(at, operand, &problem))
    }
}

fn check_type(value: Value, wanted: Type) -> Result<Value, String> {
    match value {
        value if value.is(wanted) => Ok(value),
        Value::Nil => Err(format!("invalid value; expected {}", wanted.name())),
        value => Err(format!("wrong type for value; expected {}; got {}", wanted.name(), value.type_name())),
    }
}

/// A method of a time.
fn method(time: &Moment, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let civil = time.civil();
    if let ("Format", [Value::Text(layout)]) = (name, arguments) {
        return Ok(Value::text(time_layout::format(&String::from_utf8_lossy(layout), time)));
    }
    let value = match name {
        "Unix" => Value::Int64(time.seconds),
        "UnixMilli" => Value::Int64(time.unix_millis()),
        "UnixMicro" => Value::Int64(time.unix_nanos().div_euclid(1000)),
        "UnixNano" => Value::Int64(time.unix_nanos()),
        "Year" => Value::Int(civil.year),
        "Month" => Value::text(time_layout::format("January", time)),
        "Weekday" => Value::text(time_layout::format("Monday", time)),
        "Day" => Value::Int(i64::from(civil.day)),
        "YearDay" => Value::Int(i64::from(time.day_of_year())),
        "Hour" => Value::Int(i64::from(civil.hour)),
        "Minute" => Value::Int(i64::from(civil.minute)),
        "Second" => Value::Int(i64::from(civil.second)),
        "Nanosecond" => Value::Int(i64::from(time.nanos)),
        "UTC" | "Local" => {
            let zone = super::moment::Zone::utc();
            Value::Time(std::rc::Rc::new(Moment { zone, ..time.clone() }))
        }
        "String" => Value::text(time.to_string()),
        "Format" => return Err(format!("wrong number of args for Format: want 1 got {}", arguments.len())),
        _ => return Err(format!("can't evaluate field {name} in type time.Time")),
    };
    if arguments.is_empty() {
        Ok(value)
    } else {
        Err(format!("wrong number of args for {name}: want 0 got {}", arguments.len()))
    }
}
