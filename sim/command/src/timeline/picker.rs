//! Picking one vote to follow: from a list, by any number that a sentence calls it by, or from the violation that is about
//! it.

use std::fmt::Write;

use super::Shown;
use super::paths::Path;
use super::{escape, paths};

/// The script of the page. What is picked when it is opened is in the HTML.
pub(super) const SCRIPT: &str = "
const pick=document.getElementById('pick'),find=document.getElementById('find'),found=document.getElementById('found');
function follow(){
  document.querySelectorAll('.path').forEach(path=>path.setAttribute('hidden',''));
  const path=document.getElementById('path-'+pick.value);
  if(path)path.removeAttribute('hidden');
  const list=document.getElementById('steps');
  list.replaceChildren(...(path?[...path.querySelectorAll('title')].map(title=>{
    const item=document.createElement('li');item.textContent=title.textContent;return item;}):[]));
}
pick.addEventListener('change',follow);
find.addEventListener('input',()=>{
  const wanted=find.value.trim(),options=[...pick.options].slice(1);
  const named=wanted&&(options.find(option=>option.dataset.names.split(' ').includes(wanted))
    ||options.find(option=>option.textContent.includes(wanted)));
  found.textContent=wanted&&!named?'no such vote':'';
  if(named){pick.value=named.value;follow();}
});
document.querySelectorAll('a.follow').forEach(link=>link.addEventListener('click',()=>{
  pick.value=link.dataset.path;follow();}));
follow();
";

/// For each violation, the path that it is about, if it is about one.
pub(super) fn paths_of_marks(shown: &Shown<'_>, paths: &[Path]) -> Vec<Option<usize>> {
    let of_mark = |mark| paths::about(shown, mark, paths);
    shown.marks.iter().map(of_mark).collect()
}

pub(super) fn draw(paths: &[Path], picked: Option<usize>, out: &mut String) {
    out.push_str("<p><label>Follow one vote: <select id=\"pick\"><option value=\"\">none</option>\n");
    for (place, path) in paths.iter().enumerate() {
        let selected = if picked == Some(place) { " selected" } else { "" };
        writeln!(
            out,
            "<option value=\"{place}\" data-names=\"{}\"{selected}>{}</option>",
            escape(&path.names().join(" ")),
            escape(&path.label())
        )
        .expect("to a string");
    }
    out.push_str(
        "</select></label> <label>or find it by its submission's number, its vote id or its voter: \
         <input id=\"find\" type=\"search\" size=\"16\"></label> <span id=\"found\" class=\"bad\"></span></p>\n\
         <ol id=\"steps\"></ol>\n",
    );
}
