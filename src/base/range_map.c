/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A B+-tree whose readers never lock.
 *
 * Published nodes change in four ways only, each by one atomic store that leaves every reader with
 * a tree that is whole: an entry of a leaf loses or regains its value (a removed entry keeps its
 * place), an entry is appended behind the last one of a node, a child is replaced by a copy of it,
 * and the root is replaced. Everything else is built beside the tree, in new nodes, and published
 * by one of these.
 *
 * Invariants:
 * - Entries of a leaf are ascending by start; those with a value are disjoint. An entry lies in the
 *   leaf that its start belongs to; it may reach beyond the key that separates it from the next.
 * - The entries below child i of an inner node have key[i] <= start < key[i + 1], for ever: what
 *   moves entries across a key replaces the node that holds the key. key[0] counts as 0.
 * - A node that has been replaced never changes again, until readers have left it and it is freed.
 * - All leaves are at the same depth. Only the root may be an empty leaf, or else memory was short.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/range_map.h"
#include "base/rcu.h"

#define LEAF_MAX 32
#define INNER_MAX 64
#define INNER_MIN 16
/* Nodes are allocated for multiples of this many entries. */
#define NODE_STEP 8
/* Inner nodes split into halves of INNER_MAX / 2, so that this is never reached. */
#define DEPTH_MAX 16
/* The children of nodes so near to the root are in the cache anyway. */
#define NEAR_LEVELS 1
/* The header and the keys of a full leaf; of an inner node, what the first steps of a search need.
 */
#define FETCH_BYTES (16 + LEAF_MAX * 8)
/* So much memory of replaced nodes waits for readers at most. */
#define RETIRED_MAX (128 * 1024)

struct node {
	_Atomic u32 n; /* entries or children; only grows */
	u8 leaf;
	u8 cap;		   /* how many there is room for */
	u8 live;	   /* the writer's: entries of a leaf that have a value */
	struct node *next; /* the writer's: in range_map.retired */
	/* leaf: u64 start[cap], struct rest[cap]; inner: u64 key[cap], struct node *child[cap] */
	u64 words[];
};

/* What a reader wants of an entry once it has found it: side by side, for one cache line. */
struct rest {
	u64 last;
	_Atomic(void *) value;
};

struct range_map {
	_Atomic(struct node *) root;
	/* The rest is the writer's. */
	u64 count;
	u64 prev; /* start of the entry inserted last: tells ascending insertion */
	struct node *retired;
	size_t retired_bytes;
	bool private; /* no readers but the writer */
	bool removed; /* a value was removed since the last range_map_sync() */
};

/* A place in the tree: a child of each inner node on the way, and an entry of a leaf. */
struct cursor {
	unsigned int depth; /* of the leaf */
	struct {
		struct node *node;
		int idx; /* -1 in a leaf: before the first entry */
	} at[DEPTH_MAX];
};

static inline u64 *node_start(struct node *node)
{
	return node->words;
}

static inline struct rest *node_rest(struct node *node)
{
	return (struct rest *)(node->words + node->cap);
}

static inline u64 *node_key(struct node *node)
{
	return node->words;
}

static inline _Atomic(struct node *) *node_child(struct node *node)
{
	return (_Atomic(struct node *) *)(node->words + node->cap);
}

static inline int node_n(struct node *node)
{
	return (int)atomic_load_explicit(&node->n, memory_order_acquire);
}

static inline struct node *child_at(struct node *node, int idx)
{
	return atomic_load_explicit(&node_child(node)[idx], memory_order_acquire);
}

static inline void *value_at(struct node *leaf, int idx)
{
	return atomic_load_explicit(&node_rest(leaf)[idx].value, memory_order_acquire);
}

static inline struct node *map_root(const struct range_map *map)
{
	return atomic_load_explicit(&map->root, memory_order_acquire);
}

/* Starts the loads of all keys at once, where a search would miss the cache once for each step. */
static inline void fetch_keys(const struct node *node)
{
	for (unsigned int byte = 0; byte < FETCH_BYTES; byte += 64)
		__builtin_prefetch((const char *)node + byte);
}

/* The last of @n > 0 ascending keys that is not above @key, or 0. Without branches. */
static inline int search(const u64 *keys, int n, u64 key)
{
	const u64 *base = keys;

	while (n > 1) {
		int half = n / 2;

		base += base[half] <= key ? half : 0;
		n -= half;
	}
	return (int)(base - keys);
}

static inline int leaf_search(struct node *leaf, u64 key)
{
	int n = node_n(leaf), idx;

	if (!n)
		return -1;
	idx = search(node_start(leaf), n, key);
	return node_start(leaf)[idx] <= key ? idx : -1;
}

/* The last entry that starts at or before @key; whether it has a value is another question. */
static void seek(const struct range_map *map, u64 key, struct cursor *cur)
{
	struct node *node = map_root(map);
	unsigned int d = 0;

	for (; !node->leaf; d++) {
		int idx = search(node_key(node), node_n(node), key);

		cur->at[d].node = node;
		cur->at[d].idx = idx;
		node = child_at(node, idx);
	}
	cur->at[d].node = node;
	cur->at[d].idx = leaf_search(node, key);
	cur->depth = d;
}

static void set_range(struct node *leaf, int idx, void *value, struct range *out)
{
	out->start = node_start(leaf)[idx];
	out->last = node_rest(leaf)[idx].last;
	out->value = value;
}

/* Moves to the leaf before (@step -1) or behind (+1); false if there is none. */
static bool move_leaf(struct cursor *cur, int step)
{
	unsigned int d = cur->depth;
	struct node *node;

	do {
		if (!d--)
			return false;
		node = cur->at[d].node;
	} while (step < 0 ? !cur->at[d].idx : cur->at[d].idx + 1 >= node_n(node));
	cur->at[d].idx += step;
	for (; d < cur->depth; d++) {
		node = child_at(cur->at[d].node, cur->at[d].idx);
		cur->at[d + 1].node = node;
		cur->at[d + 1].idx = step < 0 ? node_n(node) - 1 : 0;
	}
	return true;
}

/* The last entry with a value at the cursor or before it. Leaves the cursor there. */
static bool backward(struct cursor *cur, struct range *out)
{
	do {
		struct node *leaf = cur->at[cur->depth].node;

		for (int *idx = &cur->at[cur->depth].idx; *idx >= 0; --*idx) {
			void *value = value_at(leaf, *idx);

			if (value) {
				set_range(leaf, *idx, value, out);
				return true;
			}
		}
	} while (move_leaf(cur, -1));
	return false;
}

/* The first entry with a value behind the cursor. Leaves the cursor there. */
static bool forward(struct cursor *cur, struct range *out)
{
	cur->at[cur->depth].idx++;
	do {
		struct node *leaf = cur->at[cur->depth].node;
		int n = node_n(leaf);

		for (int *idx = &cur->at[cur->depth].idx; *idx < n; ++*idx) {
			void *value = value_at(leaf, *idx);

			if (value) {
				set_range(leaf, *idx, value, out);
				return true;
			}
		}
	} while (move_leaf(cur, 1));
	return false;
}

static bool find_slowly(const struct range_map *map, u64 key, struct range *out)
{
	struct cursor cur;

	seek(map, key, &cur);
	return backward(&cur, out) && out->last >= key;
}

bool range_map_find(const struct range_map *map, u64 key, struct range *out)
{
	struct node *node = map_root(map);
	unsigned int d;
	void *value;
	int idx;

	for (d = 0; !node->leaf; d++) {
		node = child_at(node, search(node_key(node), node_n(node), key));
		if (d >= NEAR_LEVELS)
			fetch_keys(node);
	}
	idx = leaf_search(node, key);
	if (idx < 0)
		return find_slowly(map, key, out);
	value = value_at(node, idx);
	if (!value)
		return find_slowly(map, key, out);
	set_range(node, idx, value, out);
	return out->last >= key;
}

bool range_map_first(const struct range_map *map, u64 start, u64 last, struct range *out)
{
	struct cursor cur, at;

	seek(map, start, &cur);
	at = cur;
	if (backward(&at, out) && out->last >= start)
		return true;
	return forward(&cur, out) && out->start <= last;
}

bool range_map_before(const struct range_map *map, u64 key, struct range *out)
{
	struct cursor cur;

	seek(map, key, &cur);
	while (backward(&cur, out)) {
		if (out->last < key)
			return true;
		cur.at[cur.depth].idx--;
	}
	return false;
}

u64 range_map_count(const struct range_map *map)
{
	return map->count;
}

static size_t node_size(bool leaf, unsigned int cap)
{
	return sizeof(struct node) + cap * (leaf ? 3 : 2) * sizeof(u64);
}

/* An empty node for at least @n entries; NULL without memory. */
static struct node *node_new(bool leaf, unsigned int n)
{
	unsigned int cap = MAX(ALIGN_UP(n, NODE_STEP), NODE_STEP);
	struct node *node = malloc(node_size(leaf, cap));

	if (!node)
		return NULL;
	atomic_init(&node->n, 0);
	node->leaf = leaf;
	node->cap = (u8)cap;
	node->live = 0;
	node->next = NULL;
	return node;
}

/* Fills what is not published yet, or appends. */
static void leaf_append(struct node *leaf, u64 start, u64 last, void *value)
{
	int n = node_n(leaf);

	node_start(leaf)[n] = start;
	node_rest(leaf)[n].last = last;
	atomic_store_explicit(&node_rest(leaf)[n].value, value, memory_order_relaxed);
	leaf->live++;
	atomic_store_explicit(&leaf->n, (u32)n + 1, memory_order_release);
}

static void inner_append(struct node *node, u64 key, struct node *child)
{
	int n = node_n(node);

	node_key(node)[n] = key;
	atomic_store_explicit(&node_child(node)[n], child, memory_order_relaxed);
	atomic_store_explicit(&node->n, (u32)n + 1, memory_order_release);
}

/* Appends the entries of @from that have a value: of [first, end). */
static void leaf_copy(struct node *leaf, struct node *from, int first, int end)
{
	for (int i = first; i < end; i++) {
		void *value = value_at(from, i);

		if (value)
			leaf_append(leaf, node_start(from)[i], node_rest(from)[i].last, value);
	}
}

static void retire(struct range_map *map, struct node *node)
{
	node->next = map->retired;
	map->retired = node;
	map->retired_bytes += node_size(node->leaf, node->cap);
}

static void free_retired(struct range_map *map)
{
	while (map->retired) {
		struct node *node = map->retired;

		map->retired = node->next;
		free(node);
	}
	map->retired_bytes = 0;
}

static void bound_retired(struct range_map *map)
{
	if (map->retired_bytes <= RETIRED_MAX)
		return;
	if (!map->private)
		rcu_wait();
	free_retired(map);
}

/* An inner node being put together, with room for a split. */
struct draft {
	unsigned int n;
	u64 key[2 * INNER_MAX];
	struct node *child[2 * INNER_MAX];
};

static void draft_add(struct draft *draft, u64 key, struct node *child)
{
	draft->key[draft->n] = key;
	draft->child[draft->n++] = child;
}

static void draft_copy(struct draft *draft, struct node *node, int first, int end)
{
	for (int i = first; i < end; i++)
		draft_add(draft, node_key(node)[i], child_at(node, i));
}

static struct node *draft_node(const struct draft *draft, unsigned int first, unsigned int end)
{
	struct node *node = node_new(false, end - first);

	if (!node)
		return NULL;
	for (unsigned int i = first; i < end; i++)
		inner_append(node, draft->key[i], draft->child[i]);
	return node;
}

/* What stands in the place of some children: none, one, or two with the key between them. */
struct replacement {
	unsigned int n;
	struct node *node[2];
	u64 key;
};

static int replace_children(struct range_map *map, struct cursor *cur, unsigned int level, int idx,
			    int ndel, const struct replacement *with);

/* Replaces the node at @level of the cursor. Publishes, or fails with nothing changed. */
static int replace_node(struct range_map *map, struct cursor *cur, unsigned int level,
			const struct replacement *with)
{
	struct node *root;

	if (level)
		return replace_children(map, cur, level - 1, cur->at[level - 1].idx, 1, with);
	if (with->n == 1) {
		root = with->node[0];
	} else {
		root = node_new(!with->n, 2);
		if (!root)
			return -ENOMEM;
		if (with->n) {
			inner_append(root, 0, with->node[0]);
			inner_append(root, with->key, with->node[1]);
		}
	}
	atomic_store_explicit(&map->root, root, memory_order_release);
	return 0;
}

/* Tries to join what @draft replaces, at @level > 0, with a node beside it. -ENOSPC: neither fits.
 */
static int join_inner(struct range_map *map, struct cursor *cur, unsigned int level,
		      const struct draft *draft)
{
	struct node *parent = cur->at[level - 1].node;
	int slot = cur->at[level - 1].idx, n = node_n(parent);

	for (int left = slot; left >= 0 && left >= slot - 1; left--) {
		struct node *other =
			left + 1 < n ? child_at(parent, left == slot ? slot + 1 : left) : NULL;
		struct replacement with = { .n = 1 };
		struct draft both;
		int ret;

		both.n = 0;
		if (!other || node_n(other) + draft->n > INNER_MAX * 3 / 4)
			continue;
		if (left < slot)
			draft_copy(&both, other, 0, node_n(other));
		for (unsigned int i = 0; i < draft->n; i++)
			draft_add(&both, draft->key[i], draft->child[i]);
		if (left == slot)
			draft_copy(&both, other, 0, node_n(other));
		/* The key that separated the two is the parent's; their own first ones are not
		 * kept up. */
		both.key[left < slot ? (unsigned int)node_n(other) : draft->n] =
			node_key(parent)[left + 1];
		with.node[0] = draft_node(&both, 0, both.n);
		if (!with.node[0])
			return -ENOMEM;
		ret = replace_children(map, cur, level - 1, left, 2, &with);
		if (ret)
			free(with.node[0]);
		else
			retire(map, other);
		return ret;
	}
	return -ENOSPC;
}

/* Publishes @draft in the place of the inner node at @level. */
static int publish_draft(struct range_map *map, struct cursor *cur, unsigned int level,
			 const struct draft *draft)
{
	struct replacement with = { .n = draft->n > INNER_MAX ? 2 : 1 };
	unsigned int half = with.n == 2 ? draft->n / 2 : draft->n;
	int ret;

	if (!draft->n || (!level && draft->n == 1)) {
		with.n = draft->n;
		/* A draft of n has n children.
		 * NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign) */
		with.node[0] = draft->n ? draft->child[0] : NULL;
		return replace_node(map, cur, level, &with);
	}
	if (level && draft->n < INNER_MIN) {
		ret = join_inner(map, cur, level, draft);
		if (ret != -ENOSPC)
			return ret;
	}
	if (with.n == 2)
		with.key = draft->key[half];
	with.node[0] = draft_node(draft, 0, half);
	with.node[1] = with.n == 2 ? draft_node(draft, half, draft->n) : NULL;
	ret = with.node[0] && (with.n == 1 || with.node[1]) ? replace_node(map, cur, level, &with)
							    : -ENOMEM;
	if (ret) {
		free(with.node[0]);
		free(with.node[1]);
	}
	return ret;
}

static int replace_copying(struct range_map *map, struct cursor *cur, unsigned int level, int idx,
			   int ndel, const struct replacement *with)
{
	struct node *node = cur->at[level].node;
	struct draft draft;
	int ret;

	draft.n = 0;
	draft_copy(&draft, node, 0, idx);
	if (with->n)
		draft_add(&draft, node_key(node)[idx], with->node[0]);
	if (with->n == 2)
		draft_add(&draft, with->key, with->node[1]);
	draft_copy(&draft, node, idx + ndel, node_n(node));
	ret = publish_draft(map, cur, level, &draft);
	if (!ret)
		retire(map, node);
	return ret;
}

/*
 * Replaces @ndel children from @idx on of the inner node at @level. Publishes and retires the inner
 * nodes that it replaced; the children are the caller's to retire. On failure nothing has changed.
 */
static int replace_children(struct range_map *map, struct cursor *cur, unsigned int level, int idx,
			    int ndel, const struct replacement *with)
{
	struct node *node = cur->at[level].node;
	int n = node_n(node);

	if (ndel == 1 && with->n == 1) {
		atomic_store_explicit(&node_child(node)[idx], with->node[0], memory_order_release);
		return 0;
	}
	/* The first of two may be the old child itself; then the other is simply one more. */
	if (ndel == 1 && with->n == 2 && idx + 1 == n && n < node->cap &&
	    with->node[0] == child_at(node, idx)) {
		inner_append(node, with->key, with->node[1]);
		return 0;
	}
	return replace_copying(map, cur, level, idx, ndel, with);
}

/* The new entry in a copy of the leaf, or in one of two halves. */
static int insert_copying(struct range_map *map, struct cursor *cur, u64 start, u64 last,
			  void *value)
{
	struct node *leaf = cur->at[cur->depth].node;
	int pos = cur->at[cur->depth].idx, n = node_n(leaf), ret;
	struct replacement with = { .n = 1 };
	unsigned int room = leaf->live + 1U;
	struct node *copy;

	/* Where entries arrive in ascending order, leave room for more. */
	if (pos + 1 == n)
		room = MAX(room, MIN(2 * room, LEAF_MAX));
	copy = node_new(true, room);
	if (!copy)
		return -ENOMEM;
	leaf_copy(copy, leaf, 0, pos + 1);
	leaf_append(copy, start, last, value);
	leaf_copy(copy, leaf, pos + 1, n);
	with.node[0] = copy;
	if (copy->live > LEAF_MAX) {
		int half = copy->live / 2;

		with.n = 2;
		with.key = node_start(copy)[half];
		with.node[0] = node_new(true, LEAF_MAX / 2 + 1);
		with.node[1] = node_new(true, LEAF_MAX / 2 + 1);
		if (with.node[0] && with.node[1]) {
			leaf_copy(with.node[0], copy, 0, half);
			leaf_copy(with.node[1], copy, half, copy->live);
		}
		free(copy);
	}
	ret = with.node[0] && (with.n == 1 || with.node[1])
		      ? replace_node(map, cur, cur->depth, &with)
		      : -ENOMEM;
	if (ret) {
		free(with.node[0]);
		free(with.node[1]);
		return ret;
	}
	retire(map, leaf);
	return 0;
}

/* A full leaf and an entry that follows its last: a new leaf behind it, which ascending insertion
 * will fill. */
static int insert_behind(struct range_map *map, struct cursor *cur, u64 start, u64 last,
			 void *value)
{
	struct replacement with = { .n = 2, .key = start };
	int ret;

	with.node[0] = cur->at[cur->depth].node;
	with.node[1] = node_new(true, LEAF_MAX);
	if (!with.node[1])
		return -ENOMEM;
	leaf_append(with.node[1], start, last, value);
	ret = replace_node(map, cur, cur->depth, &with);
	if (ret)
		free(with.node[1]);
	return ret;
}

static int insert_at(struct range_map *map, struct cursor *cur, u64 start, u64 last, void *value)
{
	struct node *leaf = cur->at[cur->depth].node;
	int pos = cur->at[cur->depth].idx, n = node_n(leaf);

	if (pos >= 0 && node_start(leaf)[pos] == start && node_rest(leaf)[pos].last == last) {
		atomic_store_explicit(&node_rest(leaf)[pos].value, value, memory_order_release);
		leaf->live++;
		return 0;
	}
	if (pos + 1 == n && (pos < 0 || node_start(leaf)[pos] < start)) {
		if (n < leaf->cap) {
			leaf_append(leaf, start, last, value);
			return 0;
		}
		if (leaf->live == LEAF_MAX && node_start(leaf)[pos] == map->prev)
			return insert_behind(map, cur, start, last, value);
	}
	return insert_copying(map, cur, start, last, value);
}

int range_map_insert(struct range_map *map, u64 start, u64 last, void *value)
{
	struct cursor cur, at;
	struct range near;
	int ret;

	if (last < start || !value)
		return -EINVAL;
	seek(map, start, &cur);
	at = cur;
	if (backward(&at, &near) && near.last >= start)
		return -EEXIST;
	at = cur;
	if (forward(&at, &near) && near.start <= last)
		return -EEXIST;
	ret = insert_at(map, &cur, start, last, value);
	if (ret)
		return ret;
	map->count++;
	map->prev = start;
	bound_retired(map);
	return 0;
}

/* Joins the leaf with one beside it. -ENOSPC: neither fits. */
static int join_leaf(struct range_map *map, struct cursor *cur)
{
	struct node *parent = cur->at[cur->depth - 1].node, *leaf = cur->at[cur->depth].node;
	int slot = cur->at[cur->depth - 1].idx, n = node_n(parent);

	for (int left = slot; left >= 0 && left >= slot - 1; left--) {
		struct node *a, *b;
		struct replacement with = { .n = 1 };
		int ret;

		if (left + 1 >= n)
			continue;
		a = child_at(parent, left);
		b = child_at(parent, left + 1);
		if (a->live + b->live > LEAF_MAX * 3 / 4)
			continue;
		with.node[0] = node_new(true, a->live + b->live);
		if (!with.node[0])
			return -ENOMEM;
		leaf_copy(with.node[0], a, 0, node_n(a));
		leaf_copy(with.node[0], b, 0, node_n(b));
		ret = replace_children(map, cur, cur->depth - 1, left, 2, &with);
		if (ret) {
			free(with.node[0]);
			return ret;
		}
		retire(map, a == leaf ? b : a);
		return 0;
	}
	return -ENOSPC;
}

/* Gives back what a leaf does not need. Without memory for that, all stays as it is. */
static void shrink(struct range_map *map, struct cursor *cur)
{
	struct node *leaf = cur->at[cur->depth].node;
	struct replacement with = { .n = 0 };
	int ret = -ENOSPC;

	if (!cur->depth && !leaf->live)
		return;
	if (cur->depth && leaf->live && leaf->live <= LEAF_MAX / 4)
		ret = join_leaf(map, cur);
	if (ret == -ENOSPC && leaf->live) {
		if (leaf->cap == NODE_STEP || leaf->live > leaf->cap / 2)
			return;
		with.n = 1;
		with.node[0] = node_new(true, leaf->live);
		if (!with.node[0])
			return;
		leaf_copy(with.node[0], leaf, 0, node_n(leaf));
	}
	if (ret == -ENOSPC) {
		ret = replace_node(map, cur, cur->depth, &with);
		if (ret)
			free(with.node[0]);
	}
	if (!ret)
		retire(map, leaf);
}

/* Seeks the range that starts at @start: its place, or NULL. */
static _Atomic(void *) *find_start(const struct range_map *map, u64 start, struct cursor *cur)
{
	struct node *leaf;
	int idx;

	seek(map, start, cur);
	leaf = cur->at[cur->depth].node;
	idx = cur->at[cur->depth].idx;
	if (idx < 0 || node_start(leaf)[idx] != start || !value_at(leaf, idx))
		return NULL;
	return &node_rest(leaf)[idx].value;
}

void *range_map_remove(struct range_map *map, u64 start)
{
	struct cursor cur;
	_Atomic(void *) *place = find_start(map, start, &cur);
	void *value;

	if (!place)
		return NULL;
	value = atomic_load_explicit(place, memory_order_relaxed);
	atomic_store_explicit(place, NULL, memory_order_release);
	cur.at[cur.depth].node->live--;
	map->count--;
	map->removed = true;
	shrink(map, &cur);
	bound_retired(map);
	return value;
}

void *range_map_replace(struct range_map *map, u64 start, void *value)
{
	struct cursor cur;
	_Atomic(void *) *place = value ? find_start(map, start, &cur) : NULL;
	void *old;

	if (!place)
		return NULL;
	old = atomic_load_explicit(place, memory_order_relaxed);
	atomic_store_explicit(place, value, memory_order_release);
	map->removed = true;
	return old;
}

void range_map_sync(struct range_map *map)
{
	if (!map->removed && !map->retired)
		return;
	if (!map->private)
		rcu_wait();
	map->removed = false;
	free_retired(map);
}

struct range_map *range_map_new(void)
{
	struct range_map *map = calloc(1, sizeof(*map));
	struct node *root = node_new(true, 0);

	if (!map || !root) {
		free(map);
		free(root);
		return NULL;
	}
	atomic_init(&map->root, root);
	return map;
}

struct range_map *range_map_new_private(void)
{
	struct range_map *map = range_map_new();

	if (map)
		map->private = true;
	return map;
}

static void free_tree(struct node *node)
{
	if (!node->leaf) {
		for (int i = 0; i < node_n(node); i++)
			free_tree(child_at(node, i));
	}
	free(node);
}

void range_map_free(struct range_map *map)
{
	if (!map)
		return;
	free_retired(map);
	free_tree(map_root(map));
	free(map);
}
