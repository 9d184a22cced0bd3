//! Documents by lot: schemas that refer to each other and to themselves, and operations with all that stands around
//! them.

use serde_json::{Map, Value as Json, json};

use crate::random::Random;

/// What documents are made of.
pub(crate) struct Maker<'r> {
    pub(crate) random: &'r mut Random,
    /// How many schemas there are to refer to: `S0`, `S1` and so on.
    pub(crate) schemas: usize,
    /// Whether there are schemas that no value is right for, and references that lead nowhere.
    pub(crate) dead_ends: bool,
}

const MEMBERS: [&str; 5] = ["id", "name", "next", "all", "ünïcode~/"];

impl Maker<'_> {
    fn one_in(&mut self, count: usize) -> bool {
        self.random.below(count) == 0
    }

    fn reference(&mut self) -> Json {
        if self.dead_ends && self.one_in(40) {
            return json!({ "$ref": "#/components/schemas/Nowhere" });
        }
        let to = self.random.below(self.schemas);
        json!({ "$ref": format!("#/components/schemas/S{to}") })
    }

    /// Schemas by name.
    pub(crate) fn all_schemas(&mut self) -> Json {
        let all = (0..self.schemas).map(|at| (format!("S{at}"), self.schema(0)));
        Json::Object(all.collect())
    }

    /// A schema, with others inside.
    pub(crate) fn schema(&mut self, depth: usize) -> Json {
        let kinds = if depth > 3 { 5 } else { 13 };
        let mut schema = match self.random.below(kinds) {
            0 | 1 => return self.reference(),
            2 => self.text(),
            3 => self.number(),
            4 if self.dead_ends && self.one_in(8) => return json!(false),
            4 => return self.random.pick(&[json!(true), json!({})]).clone(),
            5 | 6 => self.object(depth),
            7 => json!({ "type": "array", "items": self.schema(depth + 1) }),
            8 => json!({ "allOf": self.several(depth) }),
            9 => json!({ "oneOf": self.several(depth) }),
            10 => json!({ "anyOf": self.several(depth) }),
            11 => self.seldom(depth),
            _ => json!({ "$ref": self.reference()["$ref"], "description": "It." }),
        };
        if self.one_in(12) {
            schema["nullable"] = json!(true);
        }
        if self.one_in(12) {
            schema["default"] = json!(self.random.below(3));
        }
        schema
    }

    fn several(&mut self, depth: usize) -> Json {
        (0..=self.random.below(3))
            .map(|_| self.schema(depth + 1))
            .collect()
    }

    fn text(&mut self) -> Json {
        let mut schema = json!({ "type": "string" });
        match self.random.below(6) {
            0 => {
                schema["enum"] = self
                    .random
                    .pick(&[json!(["a"]), json!(["a", "b"]), json!(["b", "c", null])])
                    .clone();
            }
            1 => schema["maxLength"] = json!(self.random.below(40)),
            2 => schema["minLength"] = json!(self.random.below(3)),
            3 => schema["pattern"] = json!(self.random.pick(&["^a", "b$"])),
            4 => schema["format"] = json!(self.random.pick(&["date", "uuid"])),
            _ => schema = json!({ "const": "a" }),
        }
        schema
    }

    fn number(&mut self) -> Json {
        let mut schema = json!({ "type": self.random.pick(&["integer", "number"]) });
        for key in [
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ] {
            if self.one_in(4) {
                schema[key] = json!(self.random.below(9));
            }
        }
        if self.one_in(8) {
            schema["type"] = json!(["integer", "null"]);
        }
        schema
    }

    fn object(&mut self, depth: usize) -> Json {
        let mut members = Map::new();
        for _ in 0..self.random.below(4) {
            members.insert((*self.random.pick(&MEMBERS)).to_owned(), self.schema(depth + 1));
        }
        let mut schema = json!({ "type": "object", "properties": members });
        if self.one_in(2) {
            schema["required"] = json!([self.random.pick(&MEMBERS), self.random.pick(&MEMBERS)]);
        }
        if self.one_in(4) {
            schema["additionalProperties"] = self.schema(depth + 1);
        }
        if self.dead_ends && self.one_in(6) {
            schema["additionalProperties"] = json!(false);
        }
        schema
    }

    fn seldom(&mut self, depth: usize) -> Json {
        let inner = self.schema(depth + 1);
        match self.random.below(9) {
            0 => json!({ "not": inner }),
            1 => json!({ "if": inner, "then": self.schema(depth + 1), "else": self.schema(depth + 1) }),
            2 => json!({ "prefixItems": [inner, self.schema(depth + 1)] }),
            3 => json!({ "patternProperties": { "^x": inner } }),
            4 => json!({ "dependentSchemas": { "id": inner } }),
            5 => json!({ "contains": inner, "minContains": 2 }),
            6 => json!({ "propertyNames": { "maxLength": 3 }, "uniqueItems": true }),
            7 => json!({ "oneOf": [inner], "discriminator": { "propertyName": "id" } }),
            _ => json!({ "unevaluatedProperties": inner, "minProperties": 1 }),
        }
    }

    /// A document with `GET /list`.
    pub(crate) fn document(&mut self) -> Json {
        let mut document = json!({
            "openapi": "3.1.0",
            "paths": { "/list": { "get": self.operation(0) }, "/pets/{id}": { "get": { "operationId": "getPet" } } },
            "components": {
                "schemas": self.all_schemas(),
                "parameters": { "P": self.parameter() },
                "responses": { "R": self.answer() },
                "headers": { "H": { "schema": self.schema(2) } },
                "callbacks": { "C": self.callback(1) },
                "links": { "L": { "operationId": "getPet" } },
            },
        });
        if self.one_in(2) {
            document["paths"]["/list"]["parameters"] = json!([self.parameter()]);
        }
        for place in ["", "/paths/~1list", "/paths/~1list/get"] {
            if self.one_in(4) {
                let servers = self.servers();
                document.pointer_mut(place).unwrap()["servers"] = servers;
            }
        }
        document
    }

    fn servers(&mut self) -> Json {
        let one = |random: &mut Random| {
            let url = *random.pick(&["https://a.example", "https://{v}.example", "/b"]);
            let default = *random.pick(&["a", "b"]);
            json!({ "url": url, "variables": { "v": { "default": default, "enum": ["a", "b"] } } })
        };
        (0..self.random.below(3)).map(|_| one(self.random)).collect()
    }

    fn operation(&mut self, depth: usize) -> Json {
        let mut operation = json!({ "operationId": format!("list{depth}"), "responses": {} });
        if self.one_in(2) {
            operation["parameters"] = json!([self.parameter(), { "$ref": "#/components/parameters/P" }]);
        }
        if self.one_in(2) {
            let content = json!({ "application/json": { "schema": self.schema(1) } });
            operation["requestBody"] = json!({ "required": self.one_in(2), "content": content });
        }
        for status in ["200", "404", "default"] {
            if self.one_in(2) {
                operation["responses"][status] = if self.one_in(3) {
                    json!({ "$ref": "#/components/responses/R" })
                } else {
                    self.answer()
                };
            }
        }
        if self.one_in(3) {
            operation["callbacks"] =
                json!({ "on": self.callback(depth), "c": { "$ref": "#/components/callbacks/C" } });
        }
        if self.one_in(9) {
            operation["deprecated"] = json!(true);
        }
        operation
    }

    fn callback(&mut self, depth: usize) -> Json {
        if depth > 2 {
            return json!({ "$ref": "#/components/callbacks/C" });
        }
        json!({ "{$request.body#/url}": { "post": self.operation(depth + 1) } })
    }

    fn parameter(&mut self) -> Json {
        let place = *self.random.pick(&["query", "header", "cookie"]);
        let mut parameter =
            json!({ "in": place, "name": self.random.pick(&MEMBERS), "schema": self.schema(2) });
        if self.one_in(2) {
            parameter["required"] = json!(self.one_in(2));
        }
        if self.one_in(6) {
            parameter["explode"] = json!(false);
        }
        parameter
    }

    fn answer(&mut self) -> Json {
        let mut answer = json!({ "description": "It." });
        if self.one_in(2) {
            answer["content"] = json!({ "application/json": { "schema": self.schema(1) } });
        }
        if self.one_in(3) {
            answer["headers"] = json!({ "X-Rest": { "$ref": "#/components/headers/H" } });
        }
        if self.one_in(3) {
            let more = json!({ "operationRef": "#/paths/~1pets~1{id}/get", "parameters": { "id": "$response.body#/id" } });
            answer["links"] = json!({ "pet": { "$ref": "#/components/links/L" }, "more": more });
        }
        answer
    }
}
