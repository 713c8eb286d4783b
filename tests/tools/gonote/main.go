// Gonote verifies a served log with Go's own packages note and tlog, which know nothing of Caretree.
//
// Usage: gonote FOLDER
//
// The folder holds a log as c2sp.org/tlog-tiles serves it (checkpoint, tile/...), and beside it
//
//	vkey             the log's verifier keys, one a line: any of them signs for the log
//	checkpoint.old   an earlier checkpoint of the log
//	inclusion        lines "index hash...": inclusion proofs made by the log, under checkpoint
//	consistency      one line "hash...": the log's proof from checkpoint.old to checkpoint
//	receipts/*       c2sp.org/tlog-proof files under checkpoints of the log, if there are any
//
// It exits 0 after printing what it verified, and 1 with a reason at the first thing that is wrong.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8
const tileWidth = 1 << tileHeight

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gonote FOLDER")
		os.Exit(2)
	}
	summary, err := verifyLog(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(summary)
}

func verifyLog(folder string) (string, error) {
	tree, err := openCheckpoint(folder, "checkpoint")
	if err != nil {
		return "", err
	}
	old, err := openCheckpoint(folder, "checkpoint.old")
	if err != nil {
		return "", err
	}
	leaves, err := readLeaves(folder, tree)
	if err != nil {
		return "", err
	}
	stored, err := rebuild(leaves, tree)
	if err != nil {
		return "", err
	}
	if err := compareTiles(folder, tree, stored); err != nil {
		return "", err
	}
	if err := proveLeaves(leaves, tree, stored); err != nil {
		return "", err
	}
	if err := proveStep(old, tree, stored); err != nil {
		return "", err
	}
	inclusions, err := checkInclusions(folder, tree, leaves)
	if err != nil {
		return "", err
	}
	if err := checkConsistency(folder, old, tree); err != nil {
		return "", err
	}
	receipts, err := checkReceipts(folder, tree, leaves, stored)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d leaves, %d inclusion proofs, 1 consistency proof, %d receipts",
		len(leaves), inclusions, receipts), nil
}

// openCheckpoint opens a signed note in a file of the folder.
func openCheckpoint(folder, name string) (tlog.Tree, error) {
	signed, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return tlog.Tree{}, err
	}
	return openNote(folder, name, signed)
}

// openNote opens a signed note with the log's keys and reads its three lines.
func openNote(folder, name string, signed []byte) (tlog.Tree, error) {
	var tree tlog.Tree
	vkeys, err := os.ReadFile(filepath.Join(folder, "vkey"))
	if err != nil {
		return tree, err
	}
	var verifiers []note.Verifier
	for _, vkey := range strings.Fields(string(vkeys)) {
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			return tree, fmt.Errorf("vkey: %w", err)
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return tree, fmt.Errorf("%s: %w", name, err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != opened.Sigs[0].Name {
		return tree, fmt.Errorf("%s: not origin, size and root", name)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, fmt.Errorf("%s: %w", name, err)
	}
	if tree.Hash, err = tlog.ParseHash(lines[2]); err != nil {
		return tree, fmt.Errorf("%s: %w", name, err)
	}
	return tree, nil
}

// servedTiles reads tiles from files for tlog.TileHashReader, which leads them to the root.
type servedTiles struct {
	folder string
}

func (servedTiles) Height() int { return tileHeight }

func (servedTiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (served servedTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	contents := make([][]byte, len(tiles))
	for i, tile := range tiles {
		// Go's path names the height too: tile/8/...
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		content, err := os.ReadFile(filepath.Join(served.folder, path))
		if err != nil {
			return nil, err
		}
		contents[i] = content
	}
	return contents, nil
}

// readLeaves returns the leaf hashes of the tiles, after hashing every entry.
func readLeaves(folder string, tree tlog.Tree) ([]tlog.Hash, error) {
	indexes := make([]int64, tree.N)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	leaves, err := tlog.TileHashReader(tree, servedTiles{folder}).ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("tiles: %w", err)
	}
	for first := int64(0); first < tree.N; first += tileWidth {
		entries, err := readBundle(folder, first, tree.N)
		if err != nil {
			return nil, err
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != leaves[first+int64(i)] {
				return nil, fmt.Errorf("entry %d does not hash to its leaf", first+int64(i))
			}
		}
	}
	return leaves, nil
}

func readBundle(folder string, first, size int64) ([][]byte, error) {
	width := min(size-first, tileWidth)
	tile := tlog.Tile{H: tileHeight, L: -1, N: first / tileWidth, W: int(width)}
	path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
	content, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(content) >= 2 {
		length := int(binary.BigEndian.Uint16(content)) + 2
		if length > len(content) {
			break
		}
		entries = append(entries, content[2:length])
		content = content[length:]
	}
	if len(content) != 0 || int64(len(entries)) != width {
		return nil, fmt.Errorf("%s: cut or of wrong width", path)
	}
	return entries, nil
}

// rebuild computes every node from the leaves by Go's own storage order, and compares the root.
func rebuild(leaves []tlog.Hash, tree tlog.Tree) (tlog.HashReader, error) {
	var nodes []tlog.Hash
	stored := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = nodes[index]
		}
		return found, nil
	})
	for i, leaf := range leaves {
		fresh, err := tlog.StoredHashesForRecordHash(int64(i), leaf, stored)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, fresh...)
	}
	root, err := tlog.TreeHash(tree.N, stored)
	if err != nil {
		return nil, err
	}
	if root != tree.Hash {
		return nil, errors.New("the leaves do not have the signed root")
	}
	return stored, nil
}

// compareTiles compares every served tile with what Go makes of the leaves. The TileHashReader of
// x/mod 0.7.0 passes over some full tiles when several roots of the right edge lie in one tile.
func compareTiles(folder string, tree tlog.Tree, stored tlog.HashReader) error {
	var tiles []tlog.Tile
	for level, count := 0, tree.N; count > 0; level, count = level+1, count>>tileHeight {
		for first := int64(0); first < count; first += tileWidth {
			width := min(count-first, tileWidth)
			tiles = append(tiles, tlog.Tile{H: tileHeight, L: level, N: first / tileWidth, W: int(width)})
		}
	}
	served, err := servedTiles{folder}.ReadTiles(tiles)
	if err != nil {
		return err
	}
	for i, tile := range tiles {
		own, err := tlog.ReadTileData(tile, stored)
		if err != nil {
			return err
		}
		if !bytes.Equal(own, served[i]) {
			return fmt.Errorf("tiles: %s is not as computed from the leaves", tile.Path())
		}
	}
	return nil
}

// proveLeaves proves each leaf under the signed root with Go's own proofs.
func proveLeaves(leaves []tlog.Hash, tree tlog.Tree, stored tlog.HashReader) error {
	for i, leaf := range leaves {
		proof, err := tlog.ProveRecord(tree.N, int64(i), stored)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(i), leaf); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
	}
	return nil
}

// proveStep proves the earlier checkpoint a prefix of the later with Go's own proof.
func proveStep(old, tree tlog.Tree, stored tlog.HashReader) error {
	proof, err := tlog.ProveTree(tree.N, old.N, stored)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("own consistency proof: %w", err)
	}
	return nil
}

// checkInclusions checks the log's own inclusion proofs and says how many there were.
func checkInclusions(folder string, tree tlog.Tree, leaves []tlog.Hash) (int, error) {
	content, err := os.ReadFile(filepath.Join(folder, "inclusion"))
	if err != nil {
		return 0, err
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	for _, line := range lines {
		words := strings.Fields(line)
		index, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return 0, err
		}
		proof, err := parseHashes(words[1:])
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaves[index]); err != nil {
			return 0, fmt.Errorf("inclusion proof of leaf %d: %w", index, err)
		}
	}
	return len(lines), nil
}

// checkConsistency checks the log's own consistency proof.
func checkConsistency(folder string, old, tree tlog.Tree) error {
	content, err := os.ReadFile(filepath.Join(folder, "consistency"))
	if err != nil {
		return err
	}
	proof, err := parseHashes(strings.Fields(string(content)))
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("consistency proof: %w", err)
	}
	return nil
}

// checkReceipts checks every receipt and says how many there were.
func checkReceipts(folder string, tree tlog.Tree, leaves []tlog.Hash, stored tlog.HashReader) (int, error) {
	names, err := filepath.Glob(filepath.Join(folder, "receipts", "*"))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		if err := checkReceipt(folder, content, tree, leaves, stored); err != nil {
			return 0, fmt.Errorf("receipt %s: %w", filepath.Base(name), err)
		}
	}
	return len(names), nil
}

// checkReceipt checks a receipt's note, its proof of a leaf, and that its tree is this log's.
func checkReceipt(folder string, content []byte, tree tlog.Tree, leaves []tlog.Hash, stored tlog.HashReader) error {
	head, signed, found := bytes.Cut(content, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") {
		return errors.New("not a proof with something extra")
	}
	at, err := openNote(folder, "its checkpoint", signed)
	if err != nil {
		return err
	}
	if at.N > tree.N {
		return errors.New("its checkpoint is later than the log's")
	}
	if root, err := tlog.TreeHash(at.N, stored); err != nil || root != at.Hash {
		return errors.New("its checkpoint is another tree's")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	proof, err := parseHashes(lines[3:])
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, at.N, at.Hash, index, leaves[index])
}

// min is built into later versions of Go than Debian's.
func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func parseHashes(words []string) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(words))
	for i, word := range words {
		content, err := base64.StdEncoding.DecodeString(word)
		if err != nil {
			return nil, err
		}
		if len(content) != tlog.HashSize {
			return nil, errors.New("a hash of a proof is not 32 bytes")
		}
		copy(hashes[i][:], content)
	}
	return hashes, nil
}
