// The rows of the page and their thumbnails. Thumbnails wait as text until one of their block comes into view.

const table = JSON.parse(document.getElementById("data").textContent);

export const title = table.title;
export const notes = table.notes;

const KEPT = 8;

function separate(path) {
  const at = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  return [path.slice(0, at + 1), path.slice(at + 1)];
}

const COLUMNS = Object.keys(table).filter((name) => Array.isArray(table[name]) && name !== "notes");

export const rows = Array.from({ length: table.count }, (_, index) => {
  const row = { index };
  for (const name of COLUMNS) row[name] = table[name][index];
  [row.folder, row.name] = separate(row.path);
  row.name ||= row.path || `image ${index + 1}`;
  if (row.frame) row.name += ` (${row.frame} of ${row.frames})`;
  row.searched = row.path.toLowerCase();
  row.failed = row.reason !== null;
  return row;
});

const blocks = new Map();

export function thumbnail(row) {
  if (!row.thumbnail) return null;
  const number = Math.floor(row.index / table.block);
  let block = blocks.get(number);
  if (block === undefined) {
    block = document.getElementById(`thumbnails-${number}`).textContent.split("\n");
    if (blocks.size >= KEPT) blocks.delete(blocks.keys().next().value);
  }
  // The last used stand last.
  blocks.delete(number);
  blocks.set(number, block);
  return `data:image/webp;base64,${block[row.index % table.block]}`;
}
