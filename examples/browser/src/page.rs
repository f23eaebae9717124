//! The elements of `index.html` that are written.

use anyhow::{Context, Result};
use web_sys::{Document, Element};

/// The page that this runs in.
pub struct Page;

impl Page {
    /// Replaces the text of an element.
    pub fn text(&self, id: &str, text: &str) -> Result<()> {
        element(id)?.set_text_content(Some(text));
        Ok(())
    }

    /// Replaces what is in an element by a drawing.
    pub fn draw(&self, id: &str, svg: &str) -> Result<()> {
        element(id)?.set_inner_html(svg);
        Ok(())
    }

    /// Adds a row of cells to a table's body.
    pub fn row(&self, id: &str, cells: impl IntoIterator<Item = String>) -> Result<()> {
        let row = new("tr")?;
        for cell in cells {
            let place = new("td")?;
            place.set_text_content(Some(&cell));
            append(&row, &place)?;
        }
        append(&element(id)?, &row)
    }

    /// Says what went wrong, where the device is named.
    pub fn fail(&self, message: &str) {
        // Without that element there is nobody to tell.
        if let Ok(place) = element("device") {
            place.set_class_name("failed");
            place.set_text_content(Some(message));
        }
    }
}

fn document() -> Result<Document> {
    web_sys::window().and_then(|window| window.document()).context("there is no document")
}

fn element(id: &str) -> Result<Element> {
    document()?.get_element_by_id(id).with_context(|| format!("the page has no element {id:?}"))
}

fn new(tag: &str) -> Result<Element> {
    document()?.create_element(tag).ok().with_context(|| format!("no element {tag:?} can be made"))
}

fn append(parent: &Element, child: &Element) -> Result<()> {
    parent.append_child(child).ok().context("an element cannot be added")?;
    Ok(())
}
