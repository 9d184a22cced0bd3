//! How records and words are declared: each field once, with name, type, meaning and default.

use super::diagnostic::Code;
use super::look_alikes;
use super::names::nearest;
use super::reader::Fault;
use super::secrets::quote;

/// How a field is declared.
#[derive(Debug)]
pub(crate) struct FieldInfo {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    /// As it would be written.
    pub(crate) default: Option<&'static str>,
    pub(crate) expects: fn() -> String,
    pub(crate) schema: fn() -> serde_json::Value,
    /// Values of the language that are not enforced yet.
    pub(crate) later: fn() -> &'static [&'static str],
    pub(crate) doc: &'static [&'static str],
}

/// How a record is declared.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static [&'static str],
    pub(crate) fields: &'static [FieldInfo],
    /// Fields of the language that are not enforced yet.
    pub(crate) later: &'static [&'static str],
}

/// Why a word is not one that a field knows.
pub(crate) fn unknown_word(text: &str, expects: &str, words: &[&str], later: &[&str]) -> Fault {
    if later.contains(&text) {
        return Fault::new(Code::NotBuilt, format!("`{text}` is not built yet"))
            .help(format!("what is built: {expects}"));
    }
    let fault = Fault::new(
        Code::UnknownWord,
        format!(
            "expected {expects}, found {}{}",
            quote(text),
            look_alikes::told(text)
        ),
    );
    match nearest(text, words.iter().copied()) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault,
    }
}

/// Declares a record: its fields with name, type, meaning and whether they are required.
///
/// `required T`, `optional T` or `default "as written" T`; `name as "key"` where the key is not a
/// word that Rust can use; `later { a, b }` lists fields of the language that are refused because
/// nothing enforces them yet.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $name:ident = $title:literal {
            $($(#[doc = $field_doc:literal])*
            $field:ident $(as $key:literal)? : $presence:ident $($default:literal)? $kind:ty),* $(,)?
        }
        $(later { $($later:ident),* $(,)? })?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name {
            $($(#[doc = $field_doc])* pub(crate) $field: $crate::source::reader::Field<$kind>,)*
        }

        impl $name {
            pub(crate) const SHAPE: $crate::source::declare::Shape = $crate::source::declare::Shape {
                name: $title,
                doc: &[$($doc),*],
                fields: &[$($crate::source::declare::FieldInfo {
                    name: record!(@key stringify!($field) $(, $key)?),
                    required: record!(@required $presence),
                    default: record!(@default $($default)?),
                    expects: <$kind as $crate::source::reader::Read>::expects,
                    schema: <$kind as $crate::source::reader::Read>::schema,
                    later: <$kind as $crate::source::reader::Read>::later,
                    doc: &[$($field_doc),*],
                }),*],
                later: &[$($(stringify!($later)),*)?],
            };
        }

        impl $crate::source::reader::Read for $name {
            fn expects() -> String {
                concat!("a map (", $title, ")").to_owned()
            }

            fn read(
                node: &$crate::source::yaml::Node,
                reader: &mut $crate::source::reader::Reader,
            ) -> Option<Self> {
                let shape = &Self::SHAPE;
                let fields = reader.fields(node, shape)?;
                let mut infos = shape.fields.iter();
                Some(Self {
                    $($field: infos.next().and_then(|info| reader.field(&fields, info)),)*
                })
            }

            fn schema() -> serde_json::Value {
                $crate::source::schema::record($title, false)
            }

            fn item_schema() -> serde_json::Value {
                $crate::source::schema::record($title, true)
            }

            fn shapes(out: &mut Vec<&'static $crate::source::declare::Shape>) {
                out.push(&Self::SHAPE);
                $(<$kind as $crate::source::reader::Read>::shapes(out);)*
            }
        }
    };
    (@key $name:expr) => { $name };
    (@key $name:expr, $key:literal) => { $key };
    (@required required) => { true };
    (@required optional) => { false };
    (@required default) => { false };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

/// Declares the words that a field knows; `later` lists those that nothing enforces yet.
macro_rules! choice {
    ($kind:ty: $($word:literal => $value:expr),+ $(; later $($later:literal),+)?) => {
        impl $crate::source::reader::Scalar for $kind {
            const EXPECTS: &'static str = choice!(@list $($word),+);
            const LATER: &'static [&'static str] = &[$($($later),+)?];

            fn schema() -> serde_json::Value {
                $crate::source::schema::words(&[$($word),+])
            }

            fn parse(text: &str) -> Result<Self, $crate::source::reader::Fault> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err($crate::source::declare::unknown_word(
                        text,
                        Self::EXPECTS,
                        &[$($word),+],
                        Self::LATER,
                    )),
                }
            }
        }
    };
    (@list $only:literal) => { concat!("`", $only, "`") };
    (@list $first:literal, $last:literal) => { concat!("`", $first, "` or `", $last, "`") };
    (@list $first:literal, $($rest:literal),+) => {
        concat!("`", $first, "`, ", choice!(@list $($rest),+))
    };
}

pub(crate) use {choice, record};
