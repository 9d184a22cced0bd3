//! The development issuer: who signs tokens when nobody else does yet.
//!
//! An Ed25519 key pair that belongs to one person on one machine. Its private half lies outside
//! every work tree, readable by its owner only, and is made by whoever needs it first: a build that
//! embeds the public half, or `turnpike token` that signs. It is never printed and never logged;
//! nothing here gives it out.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The variable that names another place for the key.
pub const VARIABLE: &str = "TURNPIKE_DEVELOPMENT_KEY";

/// The key pair of the development issuer.
pub struct DevelopmentKey {
    signing: SigningKey,
    x: String,
    kid: String,
}

/// Why there is no development key.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file is there, but is not a key. It is left as it is: it may be somebody's.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never a part of it.
        reason: &'static str,
    },
    /// The file cannot be read or made.
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bytes.
    Randomness(getrandom::Error),
}

/// The file: a private JWK (RFC 7517, RFC 8037).
#[derive(Serialize, Deserialize)]
struct Stored {
    alg: String,
    crv: String,
    d: String,
    kid: String,
    kty: String,
    r#use: String,
    x: String,
}

/// Where the key lies: `$TURNPIKE_DEVELOPMENT_KEY`, else `turnpike/development-issuer.json` under
/// `$XDG_DATA_HOME`, else under `~/.local/share`. None where there is no home directory.
pub fn default_path() -> Option<PathBuf> {
    path_from(
        |name| std::env::var_os(name).map(PathBuf::from),
        std::env::home_dir(),
    )
}

fn path_from(variable: impl Fn(&str) -> Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let named = |name| variable(name).filter(|path| !path.as_os_str().is_empty());
    if let Some(path) = named(VARIABLE) {
        return Some(path);
    }
    // The XDG specification has a relative path ignored.
    let data = named("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| {
            let home = home.filter(|path| !path.as_os_str().is_empty())?;
            Some(home.join(".local").join("share"))
        })?;
    Some(data.join("turnpike").join("development-issuer.json"))
}

/// Reads the key, or makes it. Of two processes that make it at once, both end with the same key.
///
/// # Errors
/// When the file is damaged (it is never overwritten), or cannot be read or made.
pub fn ensure(path: &Path) -> Result<DevelopmentKey, Error> {
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    make(path)?;
    // Read back even what was just made: if another process was quicker, its key is the key.
    read(path)?.ok_or_else(|| Error::Io {
        path: path.to_owned(),
        doing: "read",
        source: io::Error::from(io::ErrorKind::NotFound),
    })
}

fn read(path: &Path) -> Result<Option<DevelopmentKey>, Error> {
    match fs::read(path) {
        Ok(bytes) => match DevelopmentKey::parse(&bytes) {
            Ok(key) => Ok(Some(key)),
            Err(reason) => Err(Error::Damaged {
                path: path.to_owned(),
                reason,
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io {
            path: path.to_owned(),
            doing: "read",
            source,
        }),
    }
}

/// Writes a new key under a temporary name and links it into place, so that nobody ever sees half
/// of it and nothing that is there is overwritten.
fn make(path: &Path) -> Result<(), Error> {
    let failed = |doing| {
        move |source| Error::Io {
            path: path.to_owned(),
            doing,
            source,
        }
    };
    let mut seed = [0; 32];
    let mut suffix = [0; 8];
    getrandom::fill(&mut seed).map_err(Error::Randomness)?;
    getrandom::fill(&mut suffix).map_err(Error::Randomness)?;
    let text = DevelopmentKey::from_seed(&seed)
        .to_file(&seed)
        .map_err(failed("write"))?;

    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_private_directory(directory).map_err(failed("make the directory of"))?;
    let temporary = directory.join(format!(
        ".development-issuer.{}.{:016x}",
        std::process::id(),
        u64::from_le_bytes(suffix)
    ));
    let written = write_private(&temporary, text.as_bytes()).map_err(failed("write"));
    let linked = written.and_then(|()| match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(failed("make")),
    });
    // What stays behind if this fails is as private as the key itself.
    let _ = fs::remove_file(&temporary);
    linked
}

fn create_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl DevelopmentKey {
    fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let x = Base64UrlUnpadded::encode_string(signing.verifying_key().as_bytes());
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = Base64UrlUnpadded::encode_string(&Sha256::digest(canonical.as_bytes()));
        Self { signing, x, kid }
    }

    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        // The parser's own message is dropped: it may quote the file.
        let stored: Stored =
            serde_json::from_slice(bytes).map_err(|_| "it is not a private key in JSON (JWK)")?;
        if stored.kty != "OKP" || stored.crv != "Ed25519" || stored.alg != "EdDSA" {
            return Err("it is not an Ed25519 key");
        }
        let mut seed = [0; 32];
        let decoded = Base64UrlUnpadded::decode(&stored.d, &mut seed).map(<[u8]>::len);
        if decoded != Ok(32) {
            return Err("its private half (`d`) is not 32 bytes in base64url");
        }
        let key = Self::from_seed(&seed);
        if key.x != stored.x || key.kid != stored.kid {
            return Err("its halves (`d`, `x`, `kid`) do not belong together");
        }
        Ok(key)
    }

    fn to_file(&self, seed: &[u8; 32]) -> io::Result<String> {
        let stored = Stored {
            alg: "EdDSA".to_owned(),
            crv: "Ed25519".to_owned(),
            d: Base64UrlUnpadded::encode_string(seed),
            kid: self.kid.clone(),
            kty: "OKP".to_owned(),
            r#use: "sig".to_owned(),
            x: self.x.clone(),
        };
        let mut text = serde_json::to_string_pretty(&stored)?;
        text.push('\n');
        Ok(text)
    }

    /// The public half as a JWK: one line of JSON, members sorted.
    pub fn public_jwk(&self) -> String {
        let Self { kid, x, .. } = self;
        format!(r#"{{"alg":"EdDSA","crv":"Ed25519","kid":"{kid}","kty":"OKP","use":"sig","x":"{x}"}}"#)
    }

    /// The key's id: its thumbprint (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The `EdDSA` signature of a JWS signing input.
    pub fn sign(&self, signing_input: &[u8]) -> [u8; 64] {
        self.signing.sign(signing_input).to_bytes()
    }
}

impl fmt::Debug for DevelopmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevelopmentKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { path, reason } => write!(
                f,
                "the development key {path} is damaged: {reason}\n\
                 restore it, or move it away and a new one is made (tokens and builds of the old \
                 key then end: build again)",
                path = path.display()
            ),
            Self::Io { path, doing, source } => write!(
                f,
                "cannot {doing} the development key {path}: {source}\n\
                 to keep it elsewhere, name a file in {VARIABLE}",
                path = path.display()
            ),
            Self::Randomness(error) => {
                write!(f, "the system gives no randomness for a development key: {error}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Randomness(error) => Some(error),
            Self::Damaged { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use ed25519_dalek::{Signature, VerifyingKey};

    use super::*;

    /// A directory of its own that goes when the test ends.
    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            let mut name = [0; 8];
            getrandom::fill(&mut name).unwrap();
            let path = std::env::temp_dir().join(format!("turnpike-key-{:016x}", u64::from_le_bytes(name)));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_pair_of_rfc_8037() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
            0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = DevelopmentKey::from_seed(&seed);
        assert_eq!(key.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert_eq!(
            Base64UrlUnpadded::encode_string(&key.sign(input.as_bytes())),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn it_is_made_once_and_kept() {
        let directory = Directory::new();
        let path = directory.0.join("a").join("b").join("key.json");
        let first = ensure(&path).unwrap();
        let second = ensure(&path).unwrap();
        assert_eq!(first.public_jwk(), second.public_jwk());
        let names: Vec<_> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["key.json"]);

        let jwk: serde_json::Value = serde_json::from_str(&first.public_jwk()).unwrap();
        assert_eq!(
            serde_json::to_string(&jwk).unwrap(),
            first.public_jwk(),
            "canonical"
        );
        assert!(jwk.get("d").is_none());
        let mut x = [0; 32];
        Base64UrlUnpadded::decode(jwk["x"].as_str().unwrap(), &mut x).unwrap();
        let public = VerifyingKey::from_bytes(&x).unwrap();
        public
            .verify_strict(b"text", &Signature::from_bytes(&second.sign(b"text")))
            .unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = Directory::new();
        let path = directory.0.join("turnpike").join("key.json");
        ensure(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn those_who_make_it_at_once_agree() {
        let directory = Directory::new();
        let path = directory.0.join("key.json");
        let barrier = Barrier::new(8);
        let keys: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        ensure(&path).unwrap().public_jwk()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let directory = Directory::new();
        let whole = directory.0.join("whole.json");
        ensure(&whole).unwrap();
        let text = fs::read_to_string(&whole).unwrap();
        let other = directory.0.join("other.json");
        let other_kid = ensure(&other).unwrap().kid;
        let kid = ensure(&whole).unwrap().kid;
        let path = directory.0.join("key.json");
        for damaged in [
            String::new(),
            text.chars().take(text.len() / 2).collect(),
            text.replace(&kid, &other_kid),
            text.replace("Ed25519", "X25519"),
            text.replace("\"d\": \"", "\"d\": \"AA"),
        ] {
            fs::write(&path, &damaged).unwrap();
            let message = ensure(&path).unwrap_err().to_string();
            assert!(message.contains("key.json"), "{message}");
            assert!(message.contains("move it away"), "{message}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn its_private_half_is_not_shown() {
        let directory = Directory::new();
        let path = directory.0.join("key.json");
        let key = ensure(&path).unwrap();
        let stored: Stored = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(!format!("{key:?} {}", key.public_jwk()).contains(&stored.d));
    }

    #[test]
    fn where_it_lies() {
        let place = |variables: &[(&str, &str)], home: Option<&str>| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| PathBuf::from(value))
            };
            path_from(variable, home.map(PathBuf::from))
        };
        assert_eq!(
            place(&[(VARIABLE, "k.json"), ("XDG_DATA_HOME", "/data")], None),
            Some("k.json".into())
        );
        assert_eq!(
            place(&[(VARIABLE, ""), ("XDG_DATA_HOME", "/data")], Some("/home/a")),
            Some("/data/turnpike/development-issuer.json".into())
        );
        assert_eq!(
            place(&[("XDG_DATA_HOME", "data")], Some("/home/a")),
            Some("/home/a/.local/share/turnpike/development-issuer.json".into())
        );
        assert_eq!(place(&[], None), None);
    }
}
