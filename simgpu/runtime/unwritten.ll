; What nothing has written, from where it is read to where it matters.
;
; Shared memory's shadow tells what is unwritten there. Global and local memory are filled with a pattern at first: host
; code writes to global memory unseen, so content is all there is to go by, and the tags of this launch's own stores; a
; whole word of the pattern in data that the host wrote is unlikely.
;
; A read of such a word is no fault. The lanes that did it are logged and go back to the compiled code, which follows the
; value (codegen/unwritten.py) and comes back where it is used. A use is kept until the epoch ends: if another warp writes
; the shared cell that was read by then, the barrier was missing and a race is reported. A fault that comes first, other
; than a race, is its consequence.

; A lane reads a place which nothing has written, by the address that it gave, a generic one in shared memory. The log is
; a ring of sites, threads and addresses.
define internal void @log_unwritten(ptr %w, i32 %site, i32 %lane, i64 %address) cold {
  %p_count = getelementptr i8, ptr %w, i64 $w_reads
  %count = load i64, ptr %p_count
  %count1 = add i64 %count, 1
  store i64 %count1, ptr %p_count
  %log = call i64 @wide_field(ptr %w, i64 $w_read_log)
  %place = and i64 %count, $read_log_last
  %skip = mul i64 %place, $read_bytes
  %at = add i64 %log, %skip
  %p = inttoptr i64 %at to ptr
  store i32 %site, ptr %p
  %i = call i32 @field(ptr %w, i64 $w_current)
  %first = mul i32 %i, 32
  %thread = add i32 %first, %lane
  %p_thread = getelementptr i8, ptr %p, i64 4
  store i32 %thread, ptr %p_thread
  %p_address = getelementptr i8, ptr %p, i64 8
  store i64 %address, ptr %p_address
  ret void
}

; Lanes use a value that nothing has written: keep the first use, and how much of the log there was by then.
define void @sgpu_use_unwritten(ptr %w, i32 %site, i32 %lanes) cold {
entry:
  %p_unwritten = getelementptr i8, ptr %w, i64 $w_unwritten
  %unwritten = load i32, ptr %p_unwritten
  %new = icmp eq i32 %unwritten, 0
  %some = icmp ne i32 %lanes, 0
  %note = and i1 %new, %some
  br i1 %note, label %keep, label %out
keep:
  store i32 1, ptr %p_unwritten
  %p_site = getelementptr i8, ptr %w, i64 $w_unwritten_site
  store i32 %site, ptr %p_site
  %lane = call i32 @llvm.cttz.i32(i32 %lanes, i1 true)
  %i = call i32 @field(ptr %w, i64 $w_current)
  %first = mul i32 %i, 32
  %thread = add i32 %first, %lane
  %p_thread = getelementptr i8, ptr %w, i64 $w_unwritten_thread
  store i32 %thread, ptr %p_thread
  %count = call i64 @wide_field(ptr %w, i64 $w_reads)
  %p_count = getelementptr i8, ptr %w, i64 $w_unwritten_reads
  store i64 %count, ptr %p_count
  br label %out
out:
  ret void
}

; Called when loaded values look like the pattern; return the lanes that read a whole aligned word of it which no block of
; this launch has stored. `space`: 0 global, 2 local, 3 generic.
define i32 @sgpu_unwritten(ptr %w, i32 %site, <32 x i64> %a, i32 %mask, i32 %size, i32 %space) cold {
entry:
  %sampled = call i32 @field(ptr %w, i64 $w_sampled)
  %partial = icmp ne i32 %sampled, 0
  br i1 %partial, label %none, label %start
none:
  ret i32 0
start:
  %places = alloca [32 x i64], align 64
  store <32 x i64> %a, ptr %places, align 64
  %size64 = zext i32 %size to i64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %start ], [ %rest1, %next ]
  %found = phi i32 [ 0, %start ], [ %found1, %next ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p_o = getelementptr i64, ptr %places, i64 %lane64
  %given = load i64, ptr %p_o
  %top = lshr i64 %given, 56
  %inshared = icmp eq i64 %top, $shared_window
  br i1 %inshared, label %next, label %find
find:
  %host = call i64 @sgpu_resolve_lane(ptr %w, i32 %site, i64 %given, i32 %lane, i32 %size, i32 %space)
  %last = add i64 %host, %size64
  %first = and i64 %host, -4
  br label %words
words:
  %at = phi i64 [ %first, %find ], [ %at1, %other ]
  %more = icmp ult i64 %at, %last
  br i1 %more, label %word, label %next
word:
  %p_word = inttoptr i64 %at to ptr
  %content = load i32, ptr %p_word
  %poisoned = icmp eq i32 %content, $poison
  br i1 %poisoned, label %ask, label %other
ask:
  %ours = call i1 @stored_in_launch(ptr %w, i64 %at)
  br i1 %ours, label %other, label %tell
other:
  %at1 = add i64 %at, 4
  br label %words
tell:
  call void @log_unwritten(ptr %w, i32 %site, i32 %lane, i64 %given)
  br label %next
next:
  %bad = phi i32 [ 0, %body ], [ 0, %words ], [ 1, %tell ]
  %bit = shl i32 %bad, %lane
  %found1 = or i32 %found, %bit
  br label %loop
done:
  ret i32 %found
}

; Lanes have stored a value that nothing has written, `skip` bytes behind their addresses: the place is unwritten again
; if it is in shared or local memory; in global memory the value has left the kernel, which is a use. A cell of shared
; memory has 1 << `shift` bytes.
define void @sgpu_store_unwritten(ptr %w, i32 %site, <32 x i64> %a, i32 %mask, i32 %skip, i32 %size, i32 %space, i32 %shift) cold {
entry:
  %places = alloca [32 x i64], align 64
  store <32 x i64> %a, ptr %places, align 64
  %skip64 = zext i32 %skip to i64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %next ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p_o = getelementptr i64, ptr %places, i64 %lane64
  %from = load i64, ptr %p_o
  %given = add i64 %from, %skip64
  %top = lshr i64 %given, 56
  %generic = icmp eq i32 %space, 3
  %shared_window = icmp eq i64 %top, $shared_window
  %local_window = icmp eq i64 %top, $local_window
  %shared_pointer = and i1 %generic, %shared_window
  %local_pointer = and i1 %generic, %local_window
  %shared_space = icmp eq i32 %space, 1
  %local_space = icmp eq i32 %space, 2
  %inshared = or i1 %shared_space, %shared_pointer
  %inlocal = or i1 %local_space, %local_pointer
  %inside = or i1 %inshared, %inlocal
  br i1 %inside, label %put, label %leaves
leaves:
  %bit = shl i32 1, %lane
  call void @sgpu_use_unwritten(ptr %w, i32 %site, i32 %bit)
  br label %next
put:
  %host = call i64 @sgpu_resolve_lane(ptr %w, i32 %site, i64 %given, i32 %lane, i32 %size, i32 %space)
  call void @fill_pattern(i64 %host, i32 %size)
  br i1 %inshared, label %mark, label %next
mark:
  %offset = and i64 %given, 72057594037927935
  call void @mark_unwritten(ptr %w, i64 %offset, i32 %size, i32 %shift)
  br label %next
next:
  br label %loop
done:
  ret void
}

; Put the pattern's bytes where they belong.
define internal void @fill_pattern(i64 %host, i32 %size) {
entry:
  %size64 = zext i32 %size to i64
  %end = add i64 %host, %size64
  br label %loop
loop:
  %at = phi i64 [ %host, %entry ], [ %at1, %loop ]
  %in_word = and i64 %at, 3
  %bits = shl i64 %in_word, 3
  %bits32 = trunc i64 %bits to i32
  %shifted = lshr i32 $poison, %bits32
  %byte = trunc i32 %shifted to i8
  %p = inttoptr i64 %at to ptr
  store i8 %byte, ptr %p
  %at1 = add i64 %at, 1
  %more = icmp ult i64 %at1, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}

; Give cells of shared memory the tag of what is unwritten though a store has been there.
define internal void @mark_unwritten(ptr %w, i64 %offset, i32 %size, i32 %shift) {
entry:
  %shift64 = zext i32 %shift to i64
  %first = lshr i64 %offset, %shift64
  %count32 = lshr i32 %size, %shift
  %count = zext i32 %count32 to i64
  %end = add i64 %first, %count
  %p_ws = getelementptr i8, ptr %w, i64 $w_shadow_writers
  %ws = load ptr, ptr %p_ws
  br label %loop
loop:
  %i = phi i64 [ %first, %entry ], [ %i1, %cell ]
  %more = icmp ult i64 %i, %end
  br i1 %more, label %cell, label %done
cell:
  %p = getelementptr i16, ptr %ws, i64 %i
  store i16 $unwritten_tag, ptr %p
  %i1 = add i64 %i, 1
  br label %loop
done:
  ret void
}

; How what lanes hold of A and of B reaches the elements of a matrix product (lowering/matrix.py): an element of a row of A
; reaches the four lanes of its row; one of a column of B, of even or odd number as `side` is 0 or 1, a lane of each row.
define i32 @sgpu_unwritten_rows(i32 %lanes) {
  %some = call i32 @any_of_four(i32 %lanes)
  %r = mul i32 %some, 15
  ret i32 %r
}

define i32 @sgpu_unwritten_columns(i32 %lanes, i32 %side) {
  %some = call i32 @any_of_four(i32 %lanes)
  %skip = shl i32 %side, 2
  %those = lshr i32 %some, %skip
  %even = and i32 %those, 16843009
  %s1 = lshr i32 %even, 7
  %s2 = lshr i32 %even, 14
  %s3 = lshr i32 %even, 21
  %o1 = or i32 %even, %s1
  %o2 = or i32 %s2, %s3
  %o = or i32 %o1, %o2
  %four = and i32 %o, 15
  %r = mul i32 %four, 286331153
  ret i32 %r
}

; The lowest of each four bits tells whether any of them is set.
define internal i32 @any_of_four(i32 %lanes) alwaysinline {
  %h = lshr i32 %lanes, 1
  %x = or i32 %lanes, %h
  %h2 = lshr i32 %x, 2
  %y = or i32 %x, %h2
  %r = and i32 %y, 286331153
  ret i32 %r
}

; Whether a block of this launch has stored to a place of global memory, by its tag: the pattern is then what it stored.
define internal i1 @stored_in_launch(ptr %w, i64 %host) {
entry:
  %arena = call i64 @wide_field(ptr %w, i64 $w_arena)
  %span = call i64 @wide_field(ptr %w, i64 $w_arena_span)
  %off = sub i64 %host, %arena
  %inside = icmp ult i64 %off, %span
  br i1 %inside, label %look, label %no
look:
  %shift = call i32 @field(ptr %w, i64 $w_tag_shift)
  %shift64 = zext i32 %shift to i64
  %granule = lshr i64 %off, %shift64
  %tags = call i64 @wide_field(ptr %w, i64 $w_tags)
  %p_tags = inttoptr i64 %tags to ptr
  %p = getelementptr i32, ptr %p_tags, i64 %granule
  %tag = load i32, ptr %p
  %base = call i32 @field(ptr %w, i64 $w_stamp_base)
  %stored = icmp uge i32 %tag, %base
  ret i1 %stored
no:
  ret i1 false
}

; Fill a block's local memory with the pattern, if its reads are watched.
define internal void @begin_block_local(ptr %w) {
entry:
  %p_local = getelementptr i8, ptr %w, i64 $w_local
  %local = load ptr, ptr %p_local
  %p_size = getelementptr i8, ptr %w, i64 $w_local_fill
  %size = load i64, ptr %p_size
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %body ]
  %more = icmp ult i64 %i, %size
  br i1 %more, label %body, label %done
body:
  %p = getelementptr i8, ptr %local, i64 %i
  store <16 x i32> splat (i32 $poison), ptr %p, align 64
  %i1 = add i64 %i, 64
  br label %loop
done:
  ret void
}
