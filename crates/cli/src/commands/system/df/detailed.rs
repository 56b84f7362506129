//! `system df --verbose`: each image, container, volume and cache entry.

use api::container::ContainerSummary;
use api::image::ImageSummary;
use api::system::DiskUsage;
use gotemplate::{Data, Missing, Template};

use crate::commands::container::ls as containers;
use crate::commands::image::ls as images;
use crate::commands::image::split_reference;
use crate::commands::volume as volumes;
use crate::output::table::{Listing, Row, render};
use crate::output::units::human_size;

const IMAGES: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
/// Under our own name: what is logged takes space, too.
const CONTAINERS_WITH_LOGS: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.LogSize}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = "table {{.Name}}\t{{.Links}}\t{{.Size}}";
const CACHE: &str = "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";

/// Only its titles: no engine of Wharf's has such entries before the builder.
const CACHE_LISTING: Listing = Listing {
    type_name: "*formatter.buildCacheContext",
    titles: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
};

/// As `ps` has them, and the size of their logs.
const CONTAINER_LISTING: Listing = Listing {
    type_name: containers::LISTING.type_name,
    titles: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Size", "SIZE"),
        ("LogSize", "LOG SIZE"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("Names", "NAMES"),
    ],
};

/// Four tables, or all of it through one template.
///
/// # Errors
/// What is wrong with the template.
pub(super) fn page(usage: &DiskUsage, format: &str, own_name: bool) -> Result<String, String> {
    let as_table = matches!(format, "" | "table");
    let truncate = format.is_empty() || format.starts_with("table");
    let image_rows: Vec<Row> = usage
        .image_usage
        .iter()
        .flat_map(|usage| &usage.items)
        .map(|image| of_image(image, truncate))
        .collect();
    let container_rows: Vec<Row> = usage
        .container_usage
        .iter()
        .flat_map(|usage| &usage.items)
        .map(|container| {
            of_container(container, truncate, (as_table && own_name) || format.contains(".LogSize"))
        })
        .collect();
    let volume_rows: Vec<Row> =
        usage.volume_usage.iter().flat_map(|usage| &usage.items).map(volumes::row).collect();
    if as_table {
        let containers_table = if own_name { CONTAINERS_WITH_LOGS } else { CONTAINERS };
        let cache = usage.build_cache_usage.as_ref().map_or(0, |usage| usage.total_size);
        return Ok(format!(
            "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: {}\n\n{}",
            render(&images::LISTING, IMAGES, image_rows)?,
            render(&CONTAINER_LISTING, containers_table, container_rows)?,
            render(&volumes::LISTING, VOLUMES, volume_rows)?,
            human_size(cache as f64, 4),
            render(&CACHE_LISTING, CACHE, Vec::new())?,
        ));
    }
    let source = match format {
        "raw" => raw(),
        "json" => "{{json .}}".to_owned(),
        format => format.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n"),
    };
    let wrong = |error: gotemplate::Error| format!("template parsing error: {error}");
    let template = Template::parse(&source).map_err(wrong)?;
    let data = |rows: Vec<Row>| rows.into_iter().map(Row::data).collect();
    let all = Data::lists([
        ("Images", data(image_rows)),
        ("Containers", data(container_rows)),
        ("Volumes", data(volume_rows)),
        ("BuildCache", Vec::new()),
    ]);
    template.execute(&all, Missing::Field("*formatter.diskUsageContext")).map_err(|error| error.to_string())
}

fn raw() -> String {
    let images = images::RAW.replace("image_id:", "digest: {{.Digest}}\nimage_id:");
    let containers = format!("{}size: {{{{.Size}}}}\\n", containers::RAW);
    let volumes = "name: {{.Name}}\\ndriver: {{.Driver}}\\n";
    [
        ("Images", "Image", images.as_str()),
        ("Containers", "Container", &containers),
        ("Volumes", "Volume", volumes),
    ]
    .map(|(list, name, each)| format!("{{{{range .{list}}}}}type: {name}\n{each}\n{{{{end -}}}}\n"))
    .concat()
}

/// Under its first name only.
fn of_image(image: &ImageSummary, truncate: bool) -> Row {
    let named = image.repo_tags.first().filter(|_| !images::has_no_name(image));
    let (name, tag) = named.map_or(("<none>", None), |reference| split_reference(reference));
    images::row(image, name, tag.unwrap_or("<none>"), "", truncate)
}

/// With the size of its own layer alone: its image stands above.
fn of_container(container: &ContainerSummary, truncate: bool, with_log: bool) -> Row {
    let mut row = containers::row(&ContainerSummary { size_root_fs: 0, ..container.clone() }, truncate);
    if with_log {
        row.cells.push(("LogSize", human_size(container.size_log as f64, 3).into()));
    }
    row
}
