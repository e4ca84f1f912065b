; Reads of global and local memory that nothing has written, told by the pattern that fills it at first. Host code writes
; to global memory unseen, so content is all there is to go by, and the tags of this launch's own stores; a whole word of
; the pattern in data that the host wrote is unlikely.
; Called when the loaded values look like it; looks at whole aligned words. `space`: 0 global, 2 local, 3 generic.
define void @sgpu_unwritten(ptr %w, i32 %site, <32 x i64> %a, i32 %mask, i32 %size, i32 %space) cold {
entry:
  %p_sampled = getelementptr i8, ptr %w, i64 $w_sampled
  %sampled = load i32, ptr %p_sampled
  %partial = icmp ne i32 %sampled, 0
  br i1 %partial, label %done, label %start
start:
  %places = alloca [32 x i64], align 64
  store <32 x i64> %a, ptr %places, align 64
  %size64 = zext i32 %size to i64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %start ], [ %rest1, %next ]
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
  %at = phi i64 [ %first, %find ], [ %at1, %same ]
  %more = icmp ult i64 %at, %last
  br i1 %more, label %word, label %found
word:
  %p_word = inttoptr i64 %at to ptr
  %content = load i32, ptr %p_word
  %poisoned = icmp eq i32 %content, $poison
  br i1 %poisoned, label %same, label %next
same:
  %at1 = add i64 %at, 4
  br label %words
found:
  %ours = call i1 @stored_in_launch(ptr %w, i64 %host)
  br i1 %ours, label %next, label %guilty
guilty:
  %islocal2 = icmp eq i32 %space, 2
  %islocal3 = icmp eq i64 %top, $local_window
  %islocal = or i1 %islocal2, %islocal3
  %kind = select i1 %islocal, i32 $fault_uninitialised_local, i32 $fault_uninitialised_global
  call void @sgpu_fault(ptr %w, i32 %kind, i32 %site, i32 %lane, i64 %given)
  unreachable
next:
  br label %loop
done:
  ret void
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
