; Pages of 64 KiB of global memory that the launch has stored to, so that what it only reads costs no look at tags.
define internal void @mark_page(ptr %w, i64 %off) alwaysinline {
entry:
  %pages = call i64 @wide_field(ptr %w, i64 $w_pages)
  %p_pages = inttoptr i64 %pages to ptr
  %page = lshr i64 %off, $page_bits
  %p = getelementptr i8, ptr %p_pages, i64 %page
  %known = load i8, ptr %p
  %new = icmp eq i8 %known, 0
  br i1 %new, label %set, label %out
set:
  store i8 1, ptr %p
  %count = call i64 @wide_field(ptr %w, i64 $w_page_count)
  %p_count = inttoptr i64 %count to ptr
  %ignored = atomicrmw add ptr %p_count, i32 1 seq_cst
  br label %out
out:
  ret void
}

; What an instruction knows of the allocation that it uses: where it begins, and up to which count of pages written to
; none of them was in it; -1 where one of its pages is marked, -2 where all of them are.
define internal ptr @site_mark(ptr %w, i64 %site) alwaysinline {
  %marks = call i64 @wide_field(ptr %w, i64 $w_site_marks)
  %p_marks = inttoptr i64 %marks to ptr
  %p = getelementptr { i64, i64 }, ptr %p_marks, i64 %site
  ret ptr %p
}

; An instruction stores anywhere in an allocation: mark all its pages, once.
define internal void @mark_allocation(ptr %w, i64 %site, i64 %low, i64 %length) alwaysinline {
entry:
  %mark = call ptr @site_mark(ptr %w, i64 %site)
  %known = load i64, ptr %mark
  %same = icmp eq i64 %known, %low
  %p_state = getelementptr i8, ptr %mark, i64 8
  %state = load i64, ptr %p_state
  %all = icmp eq i64 %state, -2
  %done = and i1 %same, %all
  br i1 %done, label %out, label %begin
begin:
  store i64 %low, ptr %mark
  store i64 -2, ptr %p_state
  %arena = call i64 @wide_field(ptr %w, i64 $w_arena)
  %first = sub i64 %low, %arena
  %end = add i64 %first, %length
  br label %loop
loop:
  %off = phi i64 [ %first, %begin ], [ %off1, %loop ]
  call void @mark_page(ptr %w, i64 %off)
  %off1 = add i64 %off, $page_bytes
  %more = icmp ult i64 %off1, %end
  br i1 %more, label %loop, label %last
last:
  %behind = sub i64 %end, 1
  call void @mark_page(ptr %w, i64 %behind)
  br label %out
out:
  ret void
}

; Whether the launch has written to any page of the allocation that an instruction reads.
define internal i1 @allocation_written(ptr %w, i64 %site, i64 %low, i64 %length) alwaysinline {
entry:
  %mark = call ptr @site_mark(ptr %w, i64 %site)
  %known = load i64, ptr %mark
  %p_state = getelementptr i8, ptr %mark, i64 8
  %state = load i64, ptr %p_state
  %count = call i64 @wide_field(ptr %w, i64 $w_page_count)
  %p_count = inttoptr i64 %count to ptr
  %now32 = load atomic i32, ptr %p_count seq_cst, align 4
  %now = zext i32 %now32 to i64
  %same = icmp eq i64 %known, %low
  %current = icmp eq i64 %state, %now
  %clean = and i1 %same, %current
  br i1 %clean, label %no, label %test
test:
  %dirty = icmp slt i64 %state, 0
  %surely = and i1 %same, %dirty
  br i1 %surely, label %yes, label %scan
scan:
  store i64 %low, ptr %mark
  %arena = call i64 @wide_field(ptr %w, i64 $w_arena)
  %pages = call i64 @wide_field(ptr %w, i64 $w_pages)
  %p_pages = inttoptr i64 %pages to ptr
  %first = sub i64 %low, %arena
  %end = add i64 %first, %length
  %behind = sub i64 %end, 1
  %from = lshr i64 %first, $page_bits
  %to = lshr i64 %behind, $page_bits
  br label %loop
loop:
  %i = phi i64 [ %from, %scan ], [ %i1, %next ]
  %p = getelementptr i8, ptr %p_pages, i64 %i
  %set = load i8, ptr %p
  %hit = icmp ne i8 %set, 0
  br i1 %hit, label %found, label %next
next:
  %i1 = add i64 %i, 1
  %over = icmp ugt i64 %i1, %to
  br i1 %over, label %none, label %loop
found:
  store i64 -1, ptr %p_state
  br label %yes
none:
  store i64 %now, ptr %p_state
  br label %no
yes:
  ret i1 true
no:
  ret i1 false
}

define internal void @mark_pages(ptr %w, <32 x i64> %offs, i32 %lanes) alwaysinline {
entry:
  %some = icmp ne i32 %lanes, 0
  br i1 %some, label %spill, label %out
spill:
  %places = alloca [32 x i64], align 64
  store <32 x i64> %offs, ptr %places, align 64
  br label %loop
loop:
  %rest = phi i32 [ %lanes, %spill ], [ %rest1, %loop ]
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p = getelementptr i64, ptr %places, i64 %lane64
  %off = load i64, ptr %p
  call void @mark_page(ptr %w, i64 %off)
  %more = icmp ne i32 %rest1, 0
  br i1 %more, label %loop, label %out
out:
  ret void
}
