; Asynchronous copies into shared memory. The bytes move at once, but the cells stay pending until the warp that asked
; has waited for the copy's group; who reads one before that reads it too early. Each warp has a ring of its copies under
; way, oldest first: a head of four words (first entry, behind the last one, groups committed), then entries of 32
; offsets, the lanes' mask, their bytes and the group. Groups are counted for the warp: lanes that commit apart count
; for all, which makes a wait end more copies than it would on a card, never fewer.
define internal ptr @copy_ring(ptr %w, i32 %warp) alwaysinline {
  %p_rings = getelementptr i8, ptr %w, i64 $w_copies
  %rings = load ptr, ptr %p_rings
  %warp64 = zext i32 %warp to i64
  %o = mul i64 %warp64, $copy_ring_bytes
  %p = getelementptr i8, ptr %rings, i64 %o
  ret ptr %p
}

define internal ptr @copy_entry(ptr %ring, i32 %number) alwaysinline {
  %place = and i32 %number, $copy_last
  %place64 = zext i32 %place to i64
  %o = mul i64 %place64, $copy_entry_bytes
  %o1 = add i64 %o, 16
  %p = getelementptr i8, ptr %ring, i64 %o1
  ret ptr %p
}

; The present warp has asked for copies of `size` bytes to offsets in bounds.
define void @sgpu_copy_begin(ptr %w, <32 x i64> %offsets, i32 %mask, i32 %size, i32 %shift) {
entry:
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %warp = load i32, ptr %p_current
  %ring = call ptr @copy_ring(ptr %w, i32 %warp)
  %head = load i32, ptr %ring
  %p_tail = getelementptr i8, ptr %ring, i64 4
  %tail = load i32, ptr %p_tail
  %held = sub i32 %tail, %head
  %full = icmp ugt i32 %held, $copy_last
  br i1 %full, label %make_room, label %put
make_room:
  %oldest = call ptr @copy_entry(ptr %ring, i32 %head)
  %p_tag = getelementptr i8, ptr %w, i64 $w_tag
  %tag = load i32, ptr %p_tag
  call void @end_copy(ptr %w, ptr %oldest, i32 %tag, i32 %shift)
  %head1 = add i32 %head, 1
  store i32 %head1, ptr %ring
  br label %put
put:
  %p = call ptr @copy_entry(ptr %ring, i32 %tail)
  %short = trunc <32 x i64> %offsets to <32 x i32>
  store <32 x i32> %short, ptr %p, align 16
  %p_mask = getelementptr i8, ptr %p, i64 128
  store i32 %mask, ptr %p_mask
  %p_size = getelementptr i8, ptr %p, i64 132
  store i32 %size, ptr %p_size
  %p_committed = getelementptr i8, ptr %ring, i64 8
  %committed = load i32, ptr %p_committed
  %group = add i32 %committed, 1
  %p_group = getelementptr i8, ptr %p, i64 136
  store i32 %group, ptr %p_group
  %tail1 = add i32 %tail, 1
  store i32 %tail1, ptr %p_tail
  call void @tag_copy(ptr %w, ptr %p, i32 $pending_copy, i32 %shift, i1 false)
  ret void
}

define internal void @end_copy(ptr %w, ptr %p, i32 %tag, i32 %shift) {
  call void @tag_copy(ptr %w, ptr %p, i32 %tag, i32 %shift, i1 true)
  ret void
}

; Give a copy's cells a tag: all of them, or those that are pending. What has come from unwritten memory is unwritten.
define internal void @tag_copy(ptr %w, ptr %p, i32 %tag, i32 %shift, i1 %pending_only) {
entry:
  %p_ws = getelementptr i8, ptr %w, i64 $w_shadow_writers
  %ws = load ptr, ptr %p_ws
  %p_mask = getelementptr i8, ptr %p, i64 128
  %mask = load i32, ptr %p_mask
  %p_size = getelementptr i8, ptr %p, i64 132
  %size = load i32, ptr %p_size
  %count = lshr i32 %size, %shift
  %tag16 = trunc i32 %tag to i16
  %p_shared = getelementptr i8, ptr %w, i64 $w_shared
  %shared = load ptr, ptr %p_shared
  %sampled = call i32 @field(ptr %w, i64 $w_sampled)
  %whole = icmp eq i32 %sampled, 0
  %ends = and i1 %pending_only, %whole
  br label %lanes
lanes:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %next_lane ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %lane, label %done
lane:
  %number = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %number64 = zext i32 %number to i64
  %p_offset = getelementptr i32, ptr %p, i64 %number64
  %offset = load i32, ptr %p_offset
  %first = lshr i32 %offset, %shift
  br label %cell
cell:
  %k = phi i32 [ 0, %lane ], [ %k1, %next_cell ]
  %place = add i32 %first, %k
  %place64 = zext i32 %place to i64
  %p_cell = getelementptr i16, ptr %ws, i64 %place64
  %old = load i16, ptr %p_cell
  %pending = icmp eq i16 %old, -1
  %any = xor i1 %pending_only, true
  %set = or i1 %pending, %any
  %behind = shl i32 %place, %shift
  %word = and i32 %behind, -4
  %word64 = zext i32 %word to i64
  %p_word = getelementptr i8, ptr %shared, i64 %word64
  %content = load i32, ptr %p_word
  %same = icmp eq i32 %content, $poison
  %unwritten = and i1 %same, %ends
  %stamp = select i1 %unwritten, i16 $unwritten_tag, i16 %tag16
  %new = select i1 %set, i16 %stamp, i16 %old
  store i16 %new, ptr %p_cell
  br label %next_cell
next_cell:
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %count
  br i1 %more, label %cell, label %next_lane
next_lane:
  br label %lanes
done:
  ret void
}

; `commit_group`: the copies so far form a group.
define void @sgpu_copy_commit(ptr %w) {
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %warp = load i32, ptr %p_current
  %ring = call ptr @copy_ring(ptr %w, i32 %warp)
  %p_committed = getelementptr i8, ptr %ring, i64 8
  %committed = load i32, ptr %p_committed
  %committed1 = add i32 %committed, 1
  store i32 %committed1, ptr %p_committed
  ret void
}

; `wait_group`: all groups but the latest `allowed` are done, and their cells written by this warp now.
define void @sgpu_copy_wait(ptr %w, i32 %allowed, i32 %shift) {
entry:
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %warp = load i32, ptr %p_current
  %ring = call ptr @copy_ring(ptr %w, i32 %warp)
  %p_tail = getelementptr i8, ptr %ring, i64 4
  %tail = load i32, ptr %p_tail
  %p_committed = getelementptr i8, ptr %ring, i64 8
  %committed = load i32, ptr %p_committed
  %done_group = sub i32 %committed, %allowed
  %p_tag = getelementptr i8, ptr %w, i64 $w_tag
  %tag = load i32, ptr %p_tag
  br label %loop
loop:
  %head = load i32, ptr %ring
  %some = icmp ne i32 %head, %tail
  br i1 %some, label %look, label %out
look:
  %p = call ptr @copy_entry(ptr %ring, i32 %head)
  %p_group = getelementptr i8, ptr %p, i64 136
  %group = load i32, ptr %p_group
  %over = icmp sle i32 %group, %done_group
  br i1 %over, label %end, label %out
end:
  call void @end_copy(ptr %w, ptr %p, i32 %tag, i32 %shift)
  %head1 = add i32 %head, 1
  store i32 %head1, ptr %ring
  br label %loop
out:
  ret void
}

; A block begins: what the block before left under way is over, and its cells are not written.
define internal void @begin_block_copies(ptr %w) {
entry:
  %p_rings = getelementptr i8, ptr %w, i64 $w_copies
  %rings = load ptr, ptr %p_rings
  %none = icmp eq ptr %rings, null
  br i1 %none, label %done, label %start
start:
  %p_warps = getelementptr i8, ptr %w, i64 $w_warps
  %warps = load i32, ptr %p_warps
  %p_shift = getelementptr i8, ptr %w, i64 $w_shadow_shift
  %shift = load i32, ptr %p_shift
  br label %warp
warp:
  %i = phi i32 [ 0, %start ], [ %i1, %next ]
  %ring = call ptr @copy_ring(ptr %w, i32 %i)
  %p_tail = getelementptr i8, ptr %ring, i64 4
  %tail = load i32, ptr %p_tail
  br label %loop
loop:
  %head = load i32, ptr %ring
  %some = icmp ne i32 %head, %tail
  br i1 %some, label %drop, label %next
drop:
  %p = call ptr @copy_entry(ptr %ring, i32 %head)
  call void @end_copy(ptr %w, ptr %p, i32 0, i32 %shift)
  %head1 = add i32 %head, 1
  store i32 %head1, ptr %ring
  br label %loop
next:
  %p_committed = getelementptr i8, ptr %ring, i64 8
  store i32 0, ptr %p_committed
  %i1 = add i32 %i, 1
  %more = icmp ult i32 %i1, %warps
  br i1 %more, label %warp, label %done
done:
  ret void
}
