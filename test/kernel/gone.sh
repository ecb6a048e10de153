# After emptied.sh, over a grid.

grid_empty() {
  ask publish
  : >/tmp/listing
  show /tmp/listing 'compare with the grid'
}

check 'what is removed is gone from the grid' grid_empty
