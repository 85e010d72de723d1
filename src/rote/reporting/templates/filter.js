const box = document.getElementById("filter"), rows = document.querySelectorAll("#estimates tbody tr");
const shown = document.getElementById("filtered");
function filter() {
  const words = box.value.toLowerCase().split(/\s+/);
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    count += !row.hidden;
  }
  shown.textContent = `${count} of ${rows.length}`;
}
if (box) { box.closest("p").hidden = false; box.addEventListener("input", filter); filter(); }
