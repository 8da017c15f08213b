//! Reads a template into its tree.

use super::DEPTH_MAX;
use super::functions::{self, quote_text};
use super::lexer::{KEYWORDS, Located, Token, tokenize, unquote};
use super::node::{Branch, Command, Definitions, Node, Number, Operand, Pipeline};
use crate::quantity::number;

/// The tree of `text`; errors say where, with `name` for the template.
pub(super) fn parse(name: &str, text: &str) -> Result<Definitions, String> {
    let mut parser = Parser {
        tokens: tokenize(text),
        next: 0,
        depth: 0,
        loops: 0,
        variables: vec!["$".to_owned()],
        definitions: Definitions::default(),
    };
    let at_line = |parser: &Parser, problem: String| {
        let at = parser.tokens[parser.next.saturating_sub(1)].at;
        format!("template: {name}:{}: {problem}", 1 + text[..at.min(text.len())].matches('\n').count())
    };
    match parser.whole() {
        Ok(root) => {
            parser.definitions.root = root;
            Ok(parser.definitions)
        }
        Err(problem) => Err(at_line(&parser, problem)),
    }
}

type Parsed<T> = Result<T, String>;

/// What ends a list of nodes.
enum Ending {
    End,
    Else,
}

struct Parser {
    tokens: Vec<Located>,
    next: usize,
    depth: usize,
    loops: usize,
    variables: Vec<String>,
    definitions: Definitions,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)].token
    }

    fn at(&self) -> usize {
        self.tokens[self.next.min(self.tokens.len() - 1)].at
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        if self.next < self.tokens.len() {
            self.next += 1;
        }
        token
    }

    fn skip_space(&mut self) {
        while self.peek() == &Token::Space {
            self.next += 1;
        }
    }

    fn advance_word(&mut self) -> Token {
        self.skip_space();
        self.advance()
    }

    fn peek_keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        matches!(self.peek(), Token::Word(word) if word == keyword)
    }

    fn expect_close(&mut self, context: &str) -> Parsed<()> {
        match self.advance_word() {
            Token::Close => Ok(()),
            token => Err(unexpected(&token, context)),
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("template nests deeper than {DEPTH_MAX}"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn whole(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            match self.advance() {
                Token::End => return Ok(nodes),
                Token::Text(text) => nodes.push(Node::Text(text.into_bytes())),
                Token::Open if self.peek_keyword("define") => {
                    self.advance();
                    self.definition()?;
                }
                Token::Open => match self.action()? {
                    Ok(node) => nodes.push(node),
                    Err(Ending::End) => return Err("unexpected {{end}}".to_owned()),
                    Err(Ending::Else) => return Err("unexpected {{else}}".to_owned()),
                },
                token => return Err(unexpected(&token, "input")),
            }
        }
    }

    /// `define` has been read.
    fn definition(&mut self) -> Parsed<()> {
        let name = self.template_name("define clause")?;
        self.expect_close("define clause")?;
        self.body_of(name, "define clause")
    }

    /// The nodes of a template of its own, with variables of its own.
    fn body_of(&mut self, name: Vec<u8>, context: &str) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let outer_loops = std::mem::take(&mut self.loops);
        let (nodes, ending) = self.nested(Self::list)?;
        self.variables = outer;
        self.loops = outer_loops;
        if matches!(ending, Ending::Else) {
            return Err(format!("unexpected {{{{else}}}} in {context}"));
        }
        let is_empty = |nodes: &[Node]| {
            nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim_ascii().is_empty()))
        };
        match self.definitions.named.get(&name) {
            Some(earlier) if !is_empty(earlier) => {
                if is_empty(&nodes) {
                    return Ok(());
                }
                let name = String::from_utf8_lossy(&name).into_owned();
                return Err(format!("template: multiple definition of template {}", quote_text(&name)));
            }
            _ => {}
        }
        self.definitions.named.insert(name, nodes);
        Ok(())
    }

    fn template_name(&mut self, context: &str) -> Parsed<Vec<u8>> {
        match self.advance_word() {
            Token::Quoted(_, name) => Ok(name),
            token => Err(unexpected(&token, context)),
        }
    }

    /// Nodes up to `end` or `else`.
    fn list(&mut self) -> Parsed<(Vec<Node>, Ending)> {
        let mut nodes = Vec::new();
        loop {
            match self.advance() {
                Token::End => return Err("unexpected EOF".to_owned()),
                Token::Text(text) => nodes.push(Node::Text(text.into_bytes())),
                Token::Open => match self.action()? {
                    Ok(node) => nodes.push(node),
                    Err(ending) => return Ok((nodes, ending)),
                },
                token => return Err(unexpected(&token, "input")),
            }
        }
    }

    /// What follows `{{`: a node, or the end of a list.
    fn action(&mut self) -> Parsed<Result<Node, Ending>> {
        self.skip_space();
        let at = self.at();
        let keyword = match self.peek() {
            Token::Word(word) if KEYWORDS.contains(&word.as_str()) && word != "nil" => word.clone(),
            _ => {
                let pipeline = self.pipeline("command", &Token::Close)?;
                return Ok(Ok(Node::Action { at, pipeline }));
            }
        };
        self.advance();
        Ok(Ok(match keyword.as_str() {
            "end" => {
                self.expect_close("end")?;
                return Ok(Err(Ending::End));
            }
            "else" => {
                if !self.peek_keyword("if") && !self.peek_keyword("with") {
                    self.expect_close("else")?;
                }
                return Ok(Err(Ending::Else));
            }
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            "break" | "continue" => {
                if self.loops == 0 {
                    return Err(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                }
                self.expect_close(&keyword)?;
                if keyword == "break" { Node::Break } else { Node::Continue }
            }
            "template" => {
                self.skip_space();
                let at = self.at();
                let name = self.template_name("template clause")?;
                self.skip_space();
                let pipeline = if self.peek() == &Token::Close {
                    self.advance();
                    None
                } else {
                    Some(self.pipeline("template clause", &Token::Close)?)
                };
                Node::Call { at, name, pipeline }
            }
            "block" => {
                self.skip_space();
                let at = self.at();
                let name = self.template_name("block clause")?;
                let pipeline = self.pipeline("block clause", &Token::Close)?;
                self.body_of(name.clone(), "block clause")?;
                Node::Call { at, name, pipeline: Some(pipeline) }
            }
            _ => return Err(format!("unexpected <{keyword}> in command")),
        }))
    }

    fn branch(&mut self, context: &'static str) -> Parsed<Branch> {
        self.nested(|parser| {
            let outer = parser.variables.len();
            let pipeline = parser.pipeline(context, &Token::Close)?;
            let is_range = context == "range";
            parser.loops += usize::from(is_range);
            let (body, ending) = parser.list()?;
            parser.loops -= usize::from(is_range);
            let otherwise = match ending {
                Ending::End => None,
                Ending::Else if !is_range && parser.peek_keyword(context) => {
                    // `{{else if}}` is `{{else}}{{if}}` with one `{{end}}` for both.
                    parser.advance();
                    let inner = parser.branch(context)?;
                    Some(vec![if context == "if" { Node::If(inner) } else { Node::With(inner) }])
                }
                Ending::Else => {
                    if let Token::Word(word) = parser.peek() {
                        return Err(format!("unexpected <{word}> in else"));
                    }
                    let (nodes, ending) = parser.list()?;
                    if matches!(ending, Ending::Else) {
                        return Err("expected end; found {{else}}".to_owned());
                    }
                    Some(nodes)
                }
            };
            parser.variables.truncate(outer);
            Ok(Branch { at: pipeline.at, pipeline, body, otherwise })
        })
    }

    /// Declarations and commands up to `end`, which is taken.
    fn pipeline(&mut self, context: &str, end: &Token) -> Parsed<Pipeline> {
        self.skip_space();
        let mut pipeline =
            Pipeline { at: self.at(), declared: Vec::new(), is_assignment: false, commands: Vec::new() };
        self.declarations(&mut pipeline, context)?;
        loop {
            self.skip_space();
            if self.peek() == end {
                self.advance();
                return check_pipeline(pipeline, context);
            }
            let is_operand = match self.peek() {
                Token::Word(word) => word == "nil" || !KEYWORDS.contains(&word.as_str()),
                Token::Dot
                | Token::Field(_)
                | Token::Variable(_)
                | Token::Number(_)
                | Token::Character(_)
                | Token::Quoted(..)
                | Token::OpenParenthesis => true,
                _ => false,
            };
            if !is_operand {
                let token = self.advance();
                return Err(unexpected(&token, context));
            }
            let command = self.command()?;
            pipeline.commands.push(command);
        }
    }

    /// `$x :=`, `$x =`, or `$i, $x :=` of a range.
    fn declarations(&mut self, pipeline: &mut Pipeline, context: &str) -> Parsed<()> {
        loop {
            let Token::Variable(name) = self.peek() else { return Ok(()) };
            let name = name.clone();
            let start = self.next;
            self.advance();
            self.skip_space();
            match self.peek() {
                Token::Declare | Token::Assign => {
                    pipeline.is_assignment = self.advance() == Token::Assign;
                    self.declare(pipeline, name);
                    return Ok(());
                }
                Token::Comma => {
                    self.advance();
                    self.declare(pipeline, name);
                    if context != "range" || pipeline.declared.len() > 1 {
                        return Err(format!("too many declarations in {context}"));
                    }
                    self.skip_space();
                    if !matches!(self.peek(), Token::Variable(_)) {
                        return Err("range can only initialize variables".to_owned());
                    }
                }
                _ => {
                    self.next = start;
                    return Ok(());
                }
            }
        }
    }

    fn declare(&mut self, pipeline: &mut Pipeline, name: String) {
        self.variables.push(name.clone());
        pipeline.declared.push(name);
    }

    /// Operands up to a pipe, which is taken, or to the end of the pipeline, which is not.
    fn command(&mut self) -> Parsed<Command> {
        let mut command = Command { at: self.at(), operands: Vec::new() };
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                command.operands.push(operand);
            }
            match self.peek() {
                Token::Space => {}
                Token::Close | Token::CloseParenthesis => break,
                Token::Pipe => {
                    self.advance();
                    break;
                }
                _ => {
                    let token = self.advance();
                    return Err(unexpected(&token, "operand"));
                }
            }
        }
        if command.operands.is_empty() {
            return Err("empty command".to_owned());
        }
        Ok(command)
    }

    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(term) = self.term()? else { return Ok(None) };
        if !matches!(self.peek(), Token::Field(_)) {
            return Ok(Some(term));
        }
        let at = self.at();
        let mut names = Vec::new();
        while let Token::Field(name) = self.peek() {
            names.push(name.clone());
            self.advance();
        }
        Ok(Some(match term {
            Operand::Field { names: mut all, .. } => {
                all.extend(names);
                Operand::Field { at, names: all }
            }
            Operand::Variable { name, names: mut all, .. } => {
                all.extend(names);
                Operand::Variable { at, name, names: all }
            }
            Operand::Bool { .. }
            | Operand::Text { .. }
            | Operand::Number { .. }
            | Operand::Nil { .. }
            | Operand::Dot { .. } => {
                return Err(format!("unexpected . after term {}", quote_text(&term.to_string())));
            }
            other => Operand::Chain { at, of: Box::new(other), names },
        }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let at = self.at();
        let term = match self.peek().clone() {
            Token::Dot => Operand::Dot { at },
            Token::Field(name) => Operand::Field { at, names: vec![name] },
            Token::Variable(name) => {
                if !self.variables.contains(&name) {
                    self.advance();
                    return Err(format!("undefined variable {}", quote_text(&name)));
                }
                Operand::Variable { at, name, names: Vec::new() }
            }
            Token::Word(word) => match word.as_str() {
                "nil" => Operand::Nil { at },
                "true" | "false" => Operand::Bool { at, value: word == "true" },
                _ => {
                    let Some(function) = functions::find(&word) else {
                        self.advance();
                        return Err(format!("function {} not defined", quote_text(&word)));
                    };
                    Operand::Function { at, function }
                }
            },
            Token::Number(text) => {
                let number = read_number(&text)
                    .ok_or_else(|| format!("illegal number syntax: {}", quote_text(&text)))?;
                Operand::Number { at, text, number }
            }
            Token::Character(text) => {
                let number =
                    read_character(&text).ok_or_else(|| format!("malformed character constant: {text}"))?;
                Operand::Number { at, text, number }
            }
            Token::Quoted(source, value) => Operand::Text { at, source, value },
            Token::OpenParenthesis => {
                self.advance();
                let pipeline = self
                    .nested(|parser| parser.pipeline("parenthesized pipeline", &Token::CloseParenthesis))?;
                return Ok(Some(Operand::Pipeline(Box::new(pipeline))));
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(term))
    }
}

fn check_pipeline(pipeline: Pipeline, context: &str) -> Parsed<Pipeline> {
    if pipeline.commands.is_empty() {
        return Err(format!("missing value for {context}"));
    }
    for (index, command) in pipeline.commands.iter().enumerate().skip(1) {
        if matches!(
            command.operands.first(),
            Some(
                Operand::Bool { .. }
                    | Operand::Dot { .. }
                    | Operand::Nil { .. }
                    | Operand::Number { .. }
                    | Operand::Text { .. }
            )
        ) {
            return Err(format!("non executable command in pipeline stage {}", index + 1));
        }
    }
    Ok(pipeline)
}

fn unexpected(token: &Token, context: &str) -> String {
    match token {
        Token::Broken(problem) => problem.clone(),
        _ => format!("unexpected {} in {context}", token.describe()),
    }
}

fn read_number(text: &str) -> Option<Number> {
    let integer = functions::parse_integer(text);
    let float = number::parse(text).ok().or(integer.map(|value| value as f64));
    let is_hexadecimal = text.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("0x");
    let is_float = float.is_some()
        && if is_hexadecimal { text.contains(['p', 'P']) } else { text.contains(['.', 'e', 'E']) };
    // `1e3` is an integer too, where one is asked for.
    let integer = integer.or_else(|| {
        float.filter(|value| value.fract() == 0.0 && value.abs() < 9e18).map(|value| value as i64)
    });
    (integer.is_some() || float.is_some()).then_some(Number { integer, float, is_float })
}

fn read_character(text: &str) -> Option<Number> {
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    let bytes = unquote(inner)?;
    let mut chars = std::str::from_utf8(&bytes).ok()?.chars();
    let c = chars.next()?;
    chars.next().is_none().then(|| {
        let value = u32::from(c);
        Number { integer: Some(i64::from(value)), float: Some(f64::from(value)), is_float: false }
    })
}
