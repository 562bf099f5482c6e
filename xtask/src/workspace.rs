//! What cargo knows of this workspace.

use crate::process;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The workspace.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// Its packages, in the order of the root manifest.
    pub(crate) packages: Vec<Package>,
}

/// One of its packages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) publish: bool,
    pub(crate) description: String,
    pub(crate) keywords: usize,
    /// Its features, `default` included, with what each turns on.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// Names of what it depends on, without those that only its tests need.
    pub(crate) dependencies: Vec<String>,
    /// Kind and name of what it builds.
    pub(crate) targets: Vec<(String, String)>,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    ///
    /// What cargo says.
    pub(crate) fn load() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask stands in no workspace")?;
        let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
        let text = process::output(process::cargo(root).args(arguments))?;
        let metadata: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let packages = array(&metadata["packages"]).iter().map(Package::read).collect();
        Ok(Workspace {
            root: root.to_path_buf(),
            target: PathBuf::from(string(&metadata["target_directory"])),
            packages,
        })
    }

    /// The packages that are meant for others.
    pub(crate) fn publishable(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.publish)
    }

    /// The names of all targets of a kind (`example`, `bench`) with their packages.
    pub(crate) fn targets(&self, kind: &str) -> Vec<(&str, &str)> {
        self.packages
            .iter()
            .flat_map(|package| package.targets.iter().map(move |target| (package, target)))
            .filter(|(_, target)| target.0 == kind)
            .map(|(package, target)| (package.name.as_str(), target.1.as_str()))
            .collect()
    }
}

impl Package {
    fn read(value: &Value) -> Self {
        let manifest = PathBuf::from(string(&value["manifest_path"]));
        let features = value["features"].as_object().map(|features| {
            let one = |(name, on): (&String, &Value)| (name.clone(), array(on).iter().map(string).collect());
            features.iter().map(one).collect()
        });
        let dependencies =
            array(&value["dependencies"]).iter().filter(|dependency| dependency["kind"] != "dev");
        let targets = array(&value["targets"]).iter().flat_map(|target| {
            array(&target["kind"]).iter().map(move |kind| (string(kind), string(&target["name"])))
        });
        Package {
            name: string(&value["name"]),
            folder: manifest.parent().map(Path::to_path_buf).unwrap_or_default(),
            // `publish = false` is told as an empty list of registries.
            publish: value["publish"].is_null(),
            description: string(&value["description"]),
            keywords: array(&value["keywords"]).len(),
            features: features.unwrap_or_default(),
            dependencies: dependencies.map(|dependency| string(&dependency["name"])).collect(),
            targets: targets.collect(),
        }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
