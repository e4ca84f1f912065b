; The common outcome of a check of shared memory's shadow, for scattered lanes: nobody else has used the cells in this
; epoch. Each lane has $K cells, the tags of which are one $T; with `half` it has half as many. `places` are the byte
; offsets of the lanes' tags. False if somebody has, or if a cell that is read is not written: then nothing has changed.
define internal i1 @shadow_vector_$T(ptr %w, <32 x i64> %places, i32 %mask, i1 %writes, i1 %half) {
entry:
  %lanes = bitcast i32 %mask to <32 x i1>
  %p_ws = getelementptr i8, ptr %w, i64 $w_shadow_writers
  %ws = load ptr, ptr %p_ws
  %p_rs = getelementptr i8, ptr %w, i64 $w_shadow_readers
  %rs = load ptr, ptr %p_rs
  %p_tag = getelementptr i8, ptr %w, i64 $w_tag
  %tag32 = load i32, ptr %p_tag
  %tag = trunc i32 %tag32 to i16
  %tag1 = insertelement <$L x i16> poison, i16 %tag, i64 0
  %tags = shufflevector <$L x i16> %tag1, <$L x i16> poison, <$L x i32> zeroinitializer
  %own = bitcast <$L x i16> %tags to <32 x $T>
  %p_epoch = getelementptr i8, ptr %w, i64 $w_epoch
  %epoch32 = load i32, ptr %p_epoch
  %epoch = trunc i32 %epoch32 to i16
  %epoch1 = insertelement <$L x i16> poison, i16 %epoch, i64 0
  %epochs = shufflevector <$L x i16> %epoch1, <$L x i16> poison, <$L x i32> zeroinitializer
  %p_w = getelementptr i8, ptr %ws, <32 x i64> %places
  %w0 = call <32 x $T> @llvm.masked.gather.v32$T.v32p0(<32 x ptr> %p_w, i32 2, <32 x i1> %lanes, <32 x $T> %own)
  %p_r = getelementptr i8, ptr %rs, <32 x i64> %places
  %r0 = call <32 x $T> @llvm.masked.gather.v32$T.v32p0(<32 x ptr> %p_r, i32 2, <32 x i1> %lanes, <32 x $T> %own)
  %low = lshr <32 x $T> splat ($T -1), splat ($T $H)
  %keep = select i1 %half, <32 x $T> %low, <32 x $T> splat ($T -1)
  %rest = xor <32 x $T> %keep, splat ($T -1)
  %fill = and <32 x $T> %own, %rest
  %w1 = and <32 x $T> %w0, %keep
  %w2 = or <32 x $T> %w1, %fill
  %r1 = and <32 x $T> %r0, %keep
  %r2 = or <32 x $T> %r1, %fill
  %wv = bitcast <32 x $T> %w2 to <$L x i16>
  %rv = bitcast <32 x $T> %r2 to <$L x i16>
  %wnow = icmp uge <$L x i16> %wv, %epochs
  %wnot = icmp ne <$L x i16> %wv, %tags
  %wother = and <$L x i1> %wnow, %wnot
  %rnow = icmp uge <$L x i16> %rv, %epochs
  %rnot = icmp ne <$L x i16> %rv, %tags
  %rother = and <$L x i1> %rnow, %rnot
  %wbits = bitcast <$L x i1> %wother to i$L
  %rbits = bitcast <$L x i1> %rother to i$L
  br i1 %writes, label %write, label %read
write:
  %clash = or i$L %wbits, %rbits
  %clean = icmp eq i$L %clash, 0
  %wdiffers = bitcast <$L x i1> %wnot to i$L
  %wmine = icmp eq i$L %wdiffers, 0
  br i1 %clean, label %stamp, label %no
read:
  %p_begun = getelementptr i8, ptr %w, i64 $w_first_epoch
  %begun32 = load i32, ptr %p_begun
  %begun = trunc i32 %begun32 to i16
  %begun1 = insertelement <$L x i16> poison, i16 %begun, i64 0
  %beguns = shufflevector <$L x i16> %begun1, <$L x i16> poison, <$L x i32> zeroinitializer
  %unwritten = icmp ult <$L x i16> %wv, %beguns
  %ubits = bitcast <$L x i1> %unwritten to i$L
  %ubad = or i$L %ubits, %wbits
  %fine = icmp eq i$L %ubad, 0
  %many16 = add i16 %epoch, $many_readers
  %many1 = insertelement <$L x i16> poison, i16 %many16, i64 0
  %many = shufflevector <$L x i16> %many1, <$L x i16> poison, <$L x i32> zeroinitializer
  %newr = select <$L x i1> %rother, <$L x i16> %many, <$L x i16> %tags
  %change = icmp ne <$L x i16> %newr, %rv
  %rdiffers = bitcast <$L x i1> %change to i$L
  %rsame = icmp eq i$L %rdiffers, 0
  br i1 %fine, label %stamp, label %no
stamp:
  %same = phi i1 [ %wmine, %write ], [ %rsame, %read ]
  %newv = phi <$L x i16> [ %tags, %write ], [ %newr, %read ]
  %to = phi ptr [ %ws, %write ], [ %rs, %read ]
  br i1 %same, label %yes, label %spill
spill:
  %offsets = alloca [32 x i64], align 64
  %values = alloca [32 x $T], align 64
  store <32 x i64> %places, ptr %offsets, align 64
  store <$L x i16> %newv, ptr %values, align 64
  br label %loop
loop:
  %left = phi i32 [ %mask, %spill ], [ %left1, %next ]
  %lane = call i32 @llvm.cttz.i32(i32 %left, i1 true)
  %minus = sub i32 %left, 1
  %left1 = and i32 %left, %minus
  %lane64 = zext i32 %lane to i64
  %p_offset = getelementptr i64, ptr %offsets, i64 %lane64
  %offset = load i64, ptr %p_offset
  %p_value = getelementptr $T, ptr %values, i64 %lane64
  %p_cell = getelementptr i8, ptr %to, i64 %offset
  br i1 %half, label %short, label %long
short:
  %part = load i$H, ptr %p_value, align 2
  store i$H %part, ptr %p_cell, align 2
  br label %next
long:
  %value = load $T, ptr %p_value, align 8
  store $T %value, ptr %p_cell, align 2
  br label %next
next:
  %more = icmp ne i32 %left1, 0
  br i1 %more, label %loop, label %yes
yes:
  ret i1 true
no:
  ret i1 false
}
