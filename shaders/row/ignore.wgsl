// Which class indices are left out.
// Needs: params. Provides: is_ignored.

fn is_ignored(value: i32) -> bool {
    var found = false;
    for (var i = 0u; i < params.ignore_count; i++) { found |= params.ignore_index[i / 4u][i % 4u] == value; }
    return found;
}
