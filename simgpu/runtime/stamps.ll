; Stamps: which block, and how often it had published by then (global_shadow.ll).
define internal <32 x i64> @splat64(i64 %x) alwaysinline {
  %one = insertelement <32 x i64> poison, i64 %x, i64 0
  %all = shufflevector <32 x i64> %one, <32 x i64> poison, <32 x i32> zeroinitializer
  ret <32 x i64> %all
}

define internal <32 x i32> @splat32(i32 %x) alwaysinline {
  %one = insertelement <32 x i32> poison, i32 %x, i64 0
  %all = shufflevector <32 x i32> %one, <32 x i32> poison, <32 x i32> zeroinitializer
  ret <32 x i32> %all
}

define internal i32 @field(ptr %w, i64 %offset) alwaysinline {
  %p = getelementptr i8, ptr %w, i64 %offset
  %x = load i32, ptr %p
  ret i32 %x
}

define internal i64 @wide_field(ptr %w, i64 %offset) alwaysinline {
  %p = getelementptr i8, ptr %w, i64 %offset
  %x = load i64, ptr %p
  ret i64 %x
}

; A block begins: its stamp is the launch's first plus its number.
define internal void @begin_block_tags(ptr %w, i64 %block) {
  %number = trunc i64 %block to i32
  %base = call i32 @field(ptr %w, i64 $w_stamp_base)
  %stamp = add i32 %base, %number
  %p_stamp = getelementptr i8, ptr %w, i64 $w_stamp
  store i32 %stamp, ptr %p_stamp
  %p_used = getelementptr i8, ptr %w, i64 $w_stamp_used
  store i32 0, ptr %p_used
  %p_seen = getelementptr i8, ptr %w, i64 $w_seen
  store i32 0, ptr %p_seen
  %p_block = getelementptr i8, ptr %w, i64 $w_block_number
  store i32 %number, ptr %p_block
  ret void
}

; The block has synchronised: it sees what has been published so far.
define void @sgpu_see(ptr %w) {
entry:
  %last = call i64 @wide_field(ptr %w, i64 $w_last_stamp)
  %p_last = inttoptr i64 %last to ptr
  %now = load atomic i32, ptr %p_last seq_cst, align 4
  %p_seen = getelementptr i8, ptr %w, i64 $w_seen
  store i32 %now, ptr %p_seen
  ret void
}

; The block publishes what it has written, and sees what has been published. The first time it takes a new stamp even if
; it has written nothing: what it stores from here on may hand something over.
define void @sgpu_publish(ptr %w) {
entry:
  %p_used = getelementptr i8, ptr %w, i64 $w_stamp_used
  %used = load i32, ptr %p_used
  %some = icmp ne i32 %used, 0
  %p_stamp = getelementptr i8, ptr %w, i64 $w_stamp
  %old = load i32, ptr %p_stamp
  %later = call i32 @field(ptr %w, i64 $w_stamp_later)
  %first = icmp ult i32 %old, %later
  %due = or i1 %some, %first
  br i1 %due, label %renew, label %see
renew:
  %last = call i64 @wide_field(ptr %w, i64 $w_last_stamp)
  %p_last = inttoptr i64 %last to ptr
  %limit = call i32 @field(ptr %w, i64 $w_stamp_limit)
  %seen = load atomic i32, ptr %p_last monotonic, align 4
  %room = icmp ult i32 %seen, %limit
  %watched = icmp ne i32 %old, 0
  %both = and i1 %room, %watched
  br i1 %both, label %take, label %give_up
take:
  %before = atomicrmw add ptr %p_last, i32 1 seq_cst
  %new = add i32 %before, 1
  %base = call i32 @field(ptr %w, i64 $w_stamp_base)
  %published = call i64 @wide_field(ptr %w, i64 $w_published)
  %p_published = inttoptr i64 %published to ptr
  %place = sub i32 %old, %base
  %place64 = zext i32 %place to i64
  %p_time = getelementptr i32, ptr %p_published, i64 %place64
  store atomic i32 %new, ptr %p_time seq_cst, align 4
  %owner = sub i32 %new, %later
  %owner64 = zext i32 %owner to i64
  %owners = call i64 @wide_field(ptr %w, i64 $w_owners)
  %p_owners = inttoptr i64 %owners to ptr
  %p_owner = getelementptr i32, ptr %p_owners, i64 %owner64
  %block = call i32 @field(ptr %w, i64 $w_block_number)
  store i32 %block, ptr %p_owner
  store i32 %new, ptr %p_stamp
  store i32 0, ptr %p_used
  br label %see
give_up:
  ; The stamps of this launch are used up: what the block writes from here on is nobody's.
  store i32 0, ptr %p_stamp
  br label %see
see:
  call void @sgpu_see(ptr %w)
  ret void
}

; The number of the block that a stamp stands for.
define internal i32 @owner_of(ptr %w, i32 %stamp) {
entry:
  %base = call i32 @field(ptr %w, i64 $w_stamp_base)
  %later = call i32 @field(ptr %w, i64 $w_stamp_later)
  %first = icmp ult i32 %stamp, %later
  %number = sub i32 %stamp, %base
  br i1 %first, label %plain, label %look
plain:
  ret i32 %number
look:
  %place = sub i32 %stamp, %later
  %place64 = zext i32 %place to i64
  %owners = call i64 @wide_field(ptr %w, i64 $w_owners)
  %p_owners = inttoptr i64 %owners to ptr
  %p = getelementptr i32, ptr %p_owners, i64 %place64
  %block = load i32, ptr %p
  ret i32 %block
}
