//! Which names of programs mean which products: data, `domain/data/software.csv`, read once.

use std::{collections::BTreeSet, sync::LazyLock};

use super::{
    judge::Family,
    version::{Reading, Rule},
};
use crate::vulnerability::cpe::{Attribute, Cpe, Product};

const CSV: &str = include_str!("../../data/software.csv");

static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::read(CSV).unwrap_or_else(|why| panic!("domain/data/software.csv: {why}"))
});

/// Names of programs and the products they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    edition: String,
    rows: Vec<Row>,
}

/// A row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// Pieces of the pattern between its stars, in lower case.
    pieces: Vec<String>,
    platform: Option<Family>,
    product: Product,
    software_edition: Attribute,
    rule: Rule,
}

/// A product that a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Vendor and product.
    pub product: Product,
    /// Its name with the version that was read.
    pub name: Cpe,
    /// The version that was read.
    pub version: Reading,
}

/// What the name of a program means.
pub type Meant = Vec<Identity>;

impl Catalogue {
    /// Returns the one that comes with this version.
    #[must_use]
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Reads a file; see the head of `domain/data/software.csv`.
    ///
    /// # Errors
    /// Names the line that cannot be used.
    pub fn read(csv: &str) -> Result<Self, String> {
        let first = csv.lines().next().unwrap_or_default();
        let edition = first.strip_prefix("# edition ").map(str::trim);
        let edition = edition.filter(|edition| !edition.is_empty());
        let edition = edition.ok_or("the first line is no `# edition …`")?;
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .from_reader(csv.as_bytes());
        let head = reader.headers().map_err(|error| error.to_string())?;
        let columns = [
            "name", "platform", "vendor", "product", "edition", "versions",
        ];
        if !head.iter().eq(columns) {
            return Err(format!("the columns are not {}", columns.join(", ")));
        }
        let mut rows = Vec::new();
        let mut seen = BTreeSet::new();
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let cells: Vec<&str> = record.iter().collect();
            let line = cells.join(",");
            if !seen.insert(line.clone()) {
                return Err(format!("`{line}` is there twice"));
            }
            rows.push(row(&cells).map_err(|why| format!("`{line}`: {why}"))?);
        }
        Ok(Self {
            edition: edition.to_owned(),
            rows,
        })
    }

    /// Returns which edition of the file it is.
    #[must_use]
    pub fn edition(&self) -> &str {
        &self.edition
    }

    /// Says which products a program is; nobody knows when there are none.
    #[must_use]
    pub fn meant(&self, name: &str, version: Option<&str>, family: Family) -> Meant {
        let wanted = name.trim().to_lowercase();
        let wanted = wanted.strip_suffix(".app").unwrap_or(&wanted);
        let fits = |row: &&Row| {
            let platform = row.platform.is_none_or(|platform| platform == family);
            platform && row.fits(wanted)
        };
        let Some(first) = self.rows.iter().find(fits) else {
            return Vec::new();
        };
        let same = |row: &&Row| row.pieces == first.pieces && row.platform == first.platform;
        let identities = self.rows.iter().filter(same).map(|row| {
            let reading = Reading::of(name, version, row.rule);
            Identity {
                product: row.product.clone(),
                name: row
                    .product
                    .installed(reading.attribute(), row.software_edition.clone()),
                version: reading,
            }
        });
        identities.collect()
    }
}

fn row(cells: &[&str]) -> Result<Row, String> {
    let &[name, platform, vendor, product, edition, versions] = cells else {
        return Err("it has not six cells".to_owned());
    };
    let plain = name.chars().any(|c| c.is_alphanumeric());
    if !plain || name != name.trim() || name != name.to_lowercase() {
        return Err("a name is in lower case, without blanks around it".to_owned());
    }
    if vendor.is_empty() || product.is_empty() {
        return Err("it names no vendor or product".to_owned());
    }
    Ok(Row {
        pieces: name.split('*').map(str::to_owned).collect(),
        platform: match platform {
            "any" => None,
            "windows" => Some(Family::Windows),
            "mac" => Some(Family::Mac),
            other => {
                return Err(format!(
                    "platform `{other}`: allowed are any, windows and mac"
                ));
            }
        },
        product: Product {
            vendor: vendor.to_owned(),
            product: product.to_owned(),
        },
        software_edition: match edition {
            "" => Attribute::Any,
            "-" => Attribute::NotApplicable,
            value => Attribute::Value(value.to_owned()),
        },
        rule: versions.parse()?,
    })
}

impl Row {
    /// Whether a name in lower case is one of the pattern.
    fn fits(&self, name: &str) -> bool {
        let (Some(first), Some(last)) = (self.pieces.first(), self.pieces.last()) else {
            return false;
        };
        if self.pieces.len() == 1 {
            return name == first;
        }
        let Some(mut rest) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        for piece in &self.pieces[1..self.pieces.len() - 1] {
            match rest.find(piece.as_str()) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meant(name: &str, family: Family) -> Vec<String> {
        let found = Catalogue::built_in().meant(name, Some("1.2.3"), family);
        let names = found.into_iter().map(|one| one.product.to_string());
        names.collect()
    }

    #[test]
    fn names_that_systems_show_mean_their_products() {
        use Family::{Mac, Windows};
        for (name, family, products) in [
            ("Google Chrome", Windows, &["google:chrome"][..]),
            ("Google Chrome.app", Mac, &["google:chrome"]),
            ("Mozilla Firefox (x64 en-US)", Windows, &["mozilla:firefox"]),
            (
                "Mozilla Firefox ESR (x64 de)",
                Windows,
                &["mozilla:firefox_esr", "mozilla:firefox"],
            ),
            ("Firefox", Mac, &["mozilla:firefox"]),
            ("7-Zip 23.01 (x64)", Windows, &["7-zip:7-zip"]),
            (
                "Adobe Acrobat (64-bit)",
                Windows,
                &["adobe:acrobat_dc", "adobe:acrobat_reader_dc"],
            ),
            (
                "Notepad++ (64-bit x64)",
                Windows,
                &["notepad-plus-plus:notepad++"],
            ),
            ("PuTTY release 0.80 (64-bit)", Windows, &["putty:putty"]),
            ("VLC media player", Windows, &["videolan:vlc_media_player"]),
            ("Microsoft Edge", Windows, &["microsoft:edge_chromium"]),
            ("Python 3.11.4 (64-bit)", Windows, &["python:python"]),
            (
                "Zoom Workplace (64-bit)",
                Windows,
                &["zoom:workplace_desktop", "zoom:zoom"],
            ),
            ("Notepad++", Mac, &[]),
            ("Microsoft Edge WebView2 Runtime", Windows, &[]),
            ("Google Chrome Remote Desktop Host", Windows, &[]),
            ("Python Launcher", Windows, &[]),
            ("Larkfield Ledger 4", Windows, &[]),
        ] {
            assert_eq!(meant(name, family), products, "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_the_line() {
        let file = |row: &str| {
            format!("# edition 1\nname,platform,vendor,product,edition,versions\n{row}\n")
        };
        for (row, why) in [
            ("A,any,v,p,,plain", "lower case"),
            ("*,any,v,p,,plain", "lower case"),
            ("a,linux,v,p,,plain", "platform `linux`"),
            ("a,any,,p,,plain", "no vendor"),
            ("a,any,v,p,,guess", "`guess`"),
            ("a,any,v,p,,plain\na,any,v,p,,plain", "twice"),
            ("a,any,v", "fields"),
        ] {
            let error = Catalogue::read(&file(row)).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(Catalogue::read("name\n").unwrap_err().contains("edition"));
        let moved = "# edition 1\nplatform,name,vendor,product,edition,versions\n";
        assert!(Catalogue::read(moved).unwrap_err().contains("columns"));
    }

    proptest! {
        #[test]
        fn no_name_makes_it_crash(name in ".{0,120}", version in ".{0,40}") {
            let found = Catalogue::built_in().meant(&name, Some(&version), Family::Windows);
            for one in found {
                prop_assert!(one.name.to_string().parse::<Cpe>().is_ok());
            }
        }

        #[test]
        fn a_pattern_fits_what_fills_its_stars(a in "[a-z]{1,5}", b in "[a-z]{1,5}", x in "[a-z ]{0,6}", y in "[a-z ]{0,6}") {
            let pattern = format!("{a}*{b}*");
            let row = row(&[&pattern, "any", "v", "p", "", "plain"]).unwrap();
            let fills = format!("{a}{x}{b}{y}");
            prop_assert!(row.fits(&fills));
            let other = format!("1{a}{x}{b}{y}");
            prop_assert!(!row.fits(&other));
        }
    }
}
